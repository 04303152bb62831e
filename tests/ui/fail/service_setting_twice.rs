use blixard_rpc::{Result, iroh_service};

#[iroh_service(package = "demo.v1", package = "demo.v2")]
trait Store {
    async fn get(&self, key: String) -> Result<String>;
}

fn main() {}
