use blixard_rpc::{Result, iroh_service};

#[iroh_service]
#[rpc(name = "Other")]
trait Store {
    async fn get(&self, key: String) -> Result<String>;
}

fn main() {}
