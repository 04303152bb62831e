//! `#[cfg]` on methods: what is generated for them comes and goes with them, and the others keep their calls.
#![deny(warnings)]

use blixard_rpc::{Context, Result, iroh_service, message};

#[cfg(not(unix))]
struct OnlyElsewhere;

#[message]
pub struct Present {
    value: u32,
}

#[iroh_service]
pub trait Conditional {
    #[cfg(not(unix))]
    async fn elsewhere(&self, a: OnlyElsewhere, b: OnlyElsewhere) -> Result<OnlyElsewhere>;
    async fn first(&self) -> Result<String>;
    #[cfg(unix)]
    #[cfg(not(windows))]
    async fn here(&self, cx: &Context, a: u32, b: Present) -> Result<String>;
    #[cfg(windows)]
    #[rpc(oneway)]
    async fn nowhere(&self, event: OnlyElsewhere);
    async fn last(&self, a: u32, b: u32) -> Result<String>;
    // Two of one name, of which one is there.
    #[cfg(unix)]
    async fn either(&self) -> Result<String>;
    #[cfg(not(unix))]
    async fn either(&self) -> Result<u32>;
}

struct Real;

impl Conditional for Real {
    async fn first(&self) -> Result<String> {
        Ok("first".into())
    }
    #[cfg(unix)]
    async fn here(&self, _: &Context, a: u32, b: Present) -> Result<String> {
        Ok(format!("here {}", a + b.value))
    }
    async fn last(&self, a: u32, b: u32) -> Result<String> {
        Ok(format!("last {a} {b}"))
    }
    async fn either(&self) -> Result<String> {
        Ok("either".into())
    }
}

fn main() {
    blixard_rpc::block_on(async {
        let client = ConditionalClient::new(ConditionalServer::new(Real));
        let cx = Context::background();
        assert_eq!(client.first().await.unwrap(), "first");
        assert_eq!(
            client.here(&cx, 1, Present { value: 2 }).await.unwrap(),
            "here 3"
        );
        assert_eq!(client.last(1, 2).await.unwrap(), "last 1 2");
        assert_eq!(client.either().await.unwrap(), "either");
    });
    let methods = ConditionalService::descriptor().methods;
    let names: Vec<_> = methods.iter().map(|method| method.name()).collect();
    assert_eq!(names, ["First", "Here", "Last", "Either"]);
    assert!(
        methods
            .iter()
            .enumerate()
            .all(|(index, method)| method.index == index)
    );
}
