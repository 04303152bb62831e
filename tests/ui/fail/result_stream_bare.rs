use blixard_rpc::{Streaming, iroh_service};

#[iroh_service]
trait Store {
    async fn watch(&self, key: String) -> Streaming<String>;
}

fn main() {}
