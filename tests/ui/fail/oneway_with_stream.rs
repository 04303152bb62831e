use blixard_rpc::{Streaming, iroh_service};

#[iroh_service]
trait Store {
    #[rpc(oneway)]
    async fn note(&self, events: Streaming<String>);
}

fn main() {}
