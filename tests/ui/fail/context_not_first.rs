use blixard_rpc::{Context, Result, iroh_service};

#[iroh_service]
trait Store {
    async fn get(&self, key: String, cx: &Context) -> Result<String>;
}

fn main() {}
