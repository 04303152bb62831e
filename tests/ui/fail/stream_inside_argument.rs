use blixard_rpc::{Result, Streaming, iroh_service};

#[iroh_service]
trait Store {
    async fn put(&self, chunks: Vec<Streaming<String>>) -> Result<()>;
}

fn main() {}
