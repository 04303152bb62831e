use blixard_rpc::{Result, iroh_service};

#[iroh_service]
trait Store<T> {
    async fn get(&self, key: String) -> Result<T>;
}

fn main() {}
