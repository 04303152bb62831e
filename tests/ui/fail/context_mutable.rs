use blixard_rpc::{Context, Result, iroh_service};

#[iroh_service]
trait Store {
    async fn get(&self, cx: &mut Context, key: String) -> Result<String>;
}

fn main() {}
