use blixard_rpc::{Result, iroh_service};

#[iroh_service]
trait Store {
    #[rpc(name = "Get")]
    async fn fetch(&self, key: String) -> Result<String>;
    async fn get(&self, key: String) -> Result<String>;
}

fn main() {}
