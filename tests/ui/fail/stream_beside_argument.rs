use blixard_rpc::{Result, Streaming, iroh_service};

#[iroh_service]
trait Store {
    async fn put(&self, key: String, chunks: Streaming<String>) -> Result<()>;
}

fn main() {}
