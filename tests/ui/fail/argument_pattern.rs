use blixard_rpc::{Result, iroh_service};

#[iroh_service]
trait Store {
    async fn get(&self, (key, version): (String, u64)) -> Result<String> {
        Ok(format!("{key}{version}"))
    }
}

fn main() {}
