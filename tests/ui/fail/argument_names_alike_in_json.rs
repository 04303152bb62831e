use blixard_rpc::{Result, iroh_service};

#[iroh_service]
pub trait Store {
    #[allow(non_snake_case)]
    async fn put(&self, item_key: String, itemKey: String) -> Result<()>;
}

fn main() {}
