use blixard_rpc::{Result, iroh_service};

#[iroh_service]
trait Store: Send + std::fmt::Debug {
    async fn get(&self, key: String) -> Result<String>;
}

fn main() {}
