use blixard_rpc::{Result, Streaming, iroh_service};

#[iroh_service]
trait Store {
    async fn put(&self, keys: Streaming<String>, values: Streaming<String>) -> Result<()>;
}

fn main() {}
