use blixard_rpc::{Result, iroh_service};

#[iroh_service(file_descriptor_set, package = "demo.v1")]
trait Store {
    async fn get(&self, key: String) -> Result<String>;
}

#[iroh_service(file_descriptor_set = let, package = "demo.v1")]
trait Other {
    async fn get(&self, key: String) -> Result<String>;
}

fn main() {}
