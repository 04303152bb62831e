use blixard_rpc::{Result, iroh_service};

#[iroh_service]
trait Store {
    async fn put(&self, #[prost] value: String) -> Result<()>;
}

fn main() {}
