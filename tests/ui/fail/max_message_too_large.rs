use blixard_rpc::{Result, iroh_service};

#[iroh_service]
trait Store {
    #[rpc(max_message = "11MiB")]
    async fn get(&self, key: String) -> Result<String>;
}

fn main() {}
