use std::time::Instant;

use blixard_rpc::{Result, iroh_service};

#[iroh_service]
trait Store {
    async fn put(&self, key: String, at: Instant) -> Result<()>;
}

fn main() {}
