use blixard_rpc::{Result, iroh_service};

#[iroh_service]
trait Store {
    #[cfg_attr(unix, rpc(idempotent))]
    async fn get(&self, key: String) -> Result<String>;
}

fn main() {}
