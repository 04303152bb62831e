use blixard_rpc::{Result, iroh_service};

pub struct Plain;

#[iroh_service]
pub trait Store {
    async fn put(&self, value: Plain) -> Result<()>;
}

fn main() {}
