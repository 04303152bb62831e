use blixard_rpc::{iroh_service};

#[iroh_service]
trait Store {
    async fn get(&self, key: String) -> std::fmt::Result;
}

fn main() {}
