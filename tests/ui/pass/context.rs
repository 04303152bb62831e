//! `&Context` is opt-in, by any path that ends in it; calls made with it inherit what it has.
#![deny(warnings)]

use std::time::Duration;

use blixard_rpc::{CallOptions, Context, ResponseMetadata, Result, iroh_service};

#[iroh_service]
trait Who {
    async fn only(&self, cx: &Context) -> Result<String>;
    async fn with_argument(
        &self,
        context: &blixard_rpc::call::Context,
        name: String,
    ) -> Result<String>;
    async fn with_arguments(&self, _: &Context, a: u32, b: u32) -> Result<u32>;
    #[rpc(oneway)]
    async fn nothing(&self, cx: &Context);
}

struct Real;

impl Who for Real {
    async fn only(&self, cx: &Context) -> Result<String> {
        let remaining = cx.remaining().map(|it| it > Duration::from_secs(50));
        Ok(format!("{} {remaining:?}", cx.path()))
    }
    async fn with_argument(&self, cx: &Context, name: String) -> Result<String> {
        cx.set_header("answered-by", "real")?;
        cx.set_trailer("done", "yes")?;
        Ok(format!(
            "{} {name}",
            cx.metadata().get("from").unwrap_or("nobody")
        ))
    }
    async fn with_arguments(&self, _: &Context, a: u32, b: u32) -> Result<u32> {
        Ok(a + b)
    }
    async fn nothing(&self, _: &Context) {}
}

fn main() {
    blixard_rpc::block_on(async {
        let client = WhoClient::new(WhoServer::new(Real));
        let cx = Context::background();
        assert_eq!(client.only(&cx).await.unwrap(), "/Who/Only None");
        assert_eq!(client.with_arguments(&cx, 1, 2).await.unwrap(), 3);
        client.nothing(&cx).await;

        let metadata = ResponseMetadata::new();
        let options = CallOptions::new().metadata("from", "me").capture(&metadata);
        let answer = client.with(options).with_argument(&cx, "x".into()).await;
        assert_eq!(answer.unwrap(), "me x");
        assert_eq!(metadata.headers().get("answered-by"), Some("real"));
        assert_eq!(metadata.trailers().get("done"), Some("yes"));
    });
}
