use blixard_rpc::{Result, iroh_service};

#[iroh_service]
trait Store {
    async fn get(&self, key: std::borrow::Cow<'static, str>) -> Result<String>;
}

fn main() {}
