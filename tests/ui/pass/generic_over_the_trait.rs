//! Code that is generic over the trait takes the real thing, a client of any channel, or a test double.
#![deny(warnings)]

use blixard_rpc::{Channel, Result, iroh_service};

#[iroh_service]
pub trait Clock {
    async fn now(&self) -> Result<u64>;
}

struct Real;
impl Clock for Real {
    async fn now(&self) -> Result<u64> {
        Ok(1)
    }
}

struct Double(u64);
impl Clock for Double {
    async fn now(&self) -> Result<u64> {
        Ok(self.0)
    }
}

/// A service made of another, wherever that one is.
struct Late<C>(C);
impl<C: Clock> Clock for Late<C> {
    async fn now(&self) -> Result<u64> {
        Ok(self.0.now().await? + 10)
    }
}

fn is_send<F: Future + Send>(future: F) -> F {
    future
}

async fn ask<C: Clock>(clock: C) -> u64 {
    is_send(clock.now()).await.unwrap()
}

fn main() {
    blixard_rpc::block_on(is_send(async {
        assert_eq!(ask(Real).await, 1);
        assert_eq!(ask(Double(5)).await, 5);
        let server = ClockServer::new(Late(Real));
        let client: ClockClient<ClockServer<Late<Real>>> = ClockClient::new(server.clone());
        assert_eq!(ask(client.clone()).await, 11);
        let erased: ClockClient = ClockClient::new(Channel::new(server));
        assert_eq!(ask(erased.clone()).await, 11);
        let chain = ClockServer::new(Late(erased));
        assert_eq!(ask(ClockClient::new(chain)).await, 21);
        assert!(format!("{client:?}").starts_with("ClockClient"));
    }));
}
