use blixard_rpc::{Result, iroh_service};

#[iroh_service]
pub trait Store {
    async fn list(&self) -> Result<Vec<String>>;
}

fn main() {}
