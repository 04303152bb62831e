use blixard_rpc::{Result, iroh_service};

#[iroh_service]
trait Store {
    async fn get(&self, keys: &[u8]) -> Result<String>;
}

fn main() {}
