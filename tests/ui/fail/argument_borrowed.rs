use blixard_rpc::{Result, iroh_service};

#[iroh_service]
trait Store {
    async fn get(&self, key: &str) -> Result<String>;
}

fn main() {}
