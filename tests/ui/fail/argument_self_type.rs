use blixard_rpc::{Result, iroh_service};

#[iroh_service]
trait Store {
    async fn get(&self, other: Box<Self>) -> Result<String>;
}

fn main() {}
