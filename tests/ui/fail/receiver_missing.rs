use blixard_rpc::{Result, iroh_service};

#[iroh_service]
trait Store {
    async fn get(key: String) -> Result<String>;
}

fn main() {}
