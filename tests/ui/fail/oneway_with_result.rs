use blixard_rpc::{Result, iroh_service};

#[iroh_service]
trait Store {
    #[rpc(oneway)]
    async fn note(&self, event: String) -> Result<()>;
}

fn main() {}
