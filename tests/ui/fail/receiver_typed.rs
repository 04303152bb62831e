use blixard_rpc::{Result, iroh_service};

#[iroh_service]
trait Store {
    async fn get(self: std::sync::Arc<Self>, key: String) -> Result<String>;
}

fn main() {}
