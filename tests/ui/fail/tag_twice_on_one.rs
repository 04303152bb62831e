use blixard_rpc::{Result, iroh_service};

#[iroh_service]
trait Store {
    async fn get(&self, #[tag(1)] #[tag(2)] key: String) -> Result<String>;
}

fn main() {}
