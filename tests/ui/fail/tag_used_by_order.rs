use blixard_rpc::{Result, iroh_service};

#[iroh_service]
trait Store {
    async fn get(&self, #[tag(2)] key: String, #[tag(1)] version: u64, limit: u32) -> Result<String>;
}

fn main() {}
