use blixard_rpc::{Result, iroh_service};

#[iroh_service(package = "demo-1")]
trait Store {
    async fn get(&self, key: String) -> Result<String>;
}

fn main() {}
