use blixard_rpc::{Result, iroh_service};

#[iroh_service]
trait Store {
    const LIMIT: usize;
    async fn get(&self, key: String) -> Result<String>;
}

fn main() {}
