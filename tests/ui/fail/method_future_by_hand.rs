use blixard_rpc::{Result, iroh_service};

#[iroh_service]
trait Store {
    fn get(&self, key: String) -> impl Future<Output = Result<String>> + Send;
}

fn main() {}
