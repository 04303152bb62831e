use blixard_rpc::{Result, iroh_service};

#[iroh_service]
trait Store {
    async fn get<K>(&self, key: K) -> Result<String>;
}

fn main() {}
