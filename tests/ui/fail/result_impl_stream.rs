use blixard_rpc::{Result, iroh_service};

#[iroh_service]
trait Store {
    async fn watch(&self, key: String) -> Result<impl Iterator<Item = String> + Send>;
}

fn main() {}
