use blixard_rpc::{Result, iroh_service};

#[iroh_service]
trait Store {
    async extern "C" fn get(&self, key: String) -> Result<String>;
}

fn main() {}
