use blixard_rpc::iroh_service;

#[iroh_service]
trait Store {
    async fn put(&self, key: String);
}

fn main() {}
