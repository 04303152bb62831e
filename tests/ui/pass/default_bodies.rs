//! Methods with bodies: implementations may leave them out, clients call the server for them.
#![deny(warnings)]

use blixard_rpc::{Context, Result, Status, iroh_service};

#[iroh_service]
trait Counter {
    async fn count(&self, text: String) -> Result<u64>;

    async fn twice(&self, mut text: String) -> Result<u64> {
        text.push_str(&text.clone());
        if text.is_empty() {
            return Err(Status::invalid_argument("nothing to count"));
        }
        let count = self.count(text).await?;
        Ok(count)
    }

    async fn path(&self, cx: &Context) -> Result<String> {
        Ok(cx.path().to_owned())
    }

    #[rpc(oneway)]
    async fn forget(&self, _text: String) {}
}

struct Letters;

impl Counter for Letters {
    async fn count(&self, text: String) -> Result<u64> {
        Ok(text.len() as u64)
    }
}

struct Nothing;

impl Counter for Nothing {
    async fn count(&self, _: String) -> Result<u64> {
        Ok(0)
    }
    async fn twice(&self, _: String) -> Result<u64> {
        Ok(100)
    }
}

fn main() {
    blixard_rpc::block_on(async {
        let client = CounterClient::new(CounterServer::new(Letters));
        assert_eq!(client.twice("abc".into()).await.unwrap(), 6);
        let status = client.twice(String::new()).await.unwrap_err();
        assert_eq!(status.message(), "nothing to count");
        let path = client.path(&Context::background()).await.unwrap();
        assert_eq!(path, "/Counter/Path");
        client.forget("x".into()).await;

        // Overridden on the server: the client does not run the body of the trait.
        let client = CounterClient::new(CounterServer::new(Nothing));
        assert_eq!(client.twice("abc".into()).await.unwrap(), 100);
        assert_eq!(Nothing.twice(String::new()).await.unwrap(), 100);
    });
}
