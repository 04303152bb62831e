use blixard_rpc::{Result, iroh_service};

macro_rules! more {
    () => {};
}

#[iroh_service]
trait Store {
    async fn get(&self, key: String) -> Result<String>;
    more!();
}

fn main() {}
