use blixard_rpc::{Result, iroh_service};

#[iroh_service]
trait Store {
    #[rpc(name = "get-it")]
    async fn get(&self, key: String) -> Result<String>;
}

fn main() {}
