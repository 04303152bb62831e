use std::time::Duration;

use blixard_rpc::{Result, iroh_service};

#[iroh_service]
pub trait Store {
    async fn wait(&self, time: Duration) -> Result<()>;
}

fn main() {}
