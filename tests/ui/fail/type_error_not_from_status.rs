use blixard_rpc::iroh_service;

#[derive(Debug)]
pub struct MyError;

#[iroh_service]
pub trait Store {
    async fn get(&self, key: String) -> Result<String, MyError>;
}

fn main() {}
