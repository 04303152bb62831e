use blixard_rpc::{Context, Result, iroh_service};

#[iroh_service]
trait Store {
    async fn get(&self, #[tag(1)] cx: &Context, key: String) -> Result<String>;
}

fn main() {}
