//! Two services whose handlers call each other, through clients of the concrete types: no cycle for the compiler.
#![deny(warnings)]

use std::sync::{Arc, OnceLock};

use blixard_rpc::{Channel, Context, Result, iroh_service};

#[iroh_service]
trait Ping {
    async fn ping(&self, cx: &Context, times: u32) -> Result<u32>;
}

#[iroh_service]
trait Pong {
    async fn pong(&self, cx: &Context, times: u32) -> Result<u32>;
}

#[derive(Default)]
struct Table {
    ping: OnceLock<PingClient>,
    pong: OnceLock<PongClient>,
}

struct Left(Arc<Table>);
struct Right(Arc<Table>);

impl Ping for Left {
    async fn ping(&self, cx: &Context, times: u32) -> Result<u32> {
        if times == 0 {
            return Ok(0);
        }
        let pong = self.0.pong.get().unwrap();
        Ok(pong.pong(cx, times - 1).await? + 1)
    }
}

impl Pong for Right {
    async fn pong(&self, cx: &Context, times: u32) -> Result<u32> {
        if times == 0 {
            return Ok(0);
        }
        let ping = self.0.ping.get().unwrap();
        Ok(ping.with(cx).ping(cx, times - 1).await? + 1)
    }
}

fn main() {
    let table = Arc::new(Table::default());
    let ping = Channel::new(PingServer::new(Left(Arc::clone(&table))));
    let pong = Channel::new(PongServer::new(Right(Arc::clone(&table))));
    table.ping.set(PingClient::new(ping)).unwrap();
    table.pong.set(PongClient::new(pong)).unwrap();
    let ping = table.ping.get().unwrap();
    let cx = Context::background();
    assert_eq!(blixard_rpc::block_on(ping.ping(&cx, 9)).unwrap(), 9);
}
