use blixard_rpc::{Result, iroh_service};

#[iroh_service]
trait Store {
    async fn get(&self, key: String, #[cfg(unix)] mode: u32) -> Result<String>;
}

fn main() {}
