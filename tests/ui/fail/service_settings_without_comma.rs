use blixard_rpc::{Result, iroh_service};

#[iroh_service(package = "demo.v1" name = "Store")]
trait Store {
    async fn get(&self, key: String) -> Result<String>;
}

fn main() {}
