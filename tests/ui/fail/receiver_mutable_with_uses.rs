use blixard_rpc::{Channel, Result, iroh_service};

#[iroh_service]
trait Store {
    async fn put(&mut self, key: String) -> Result<()>;
    async fn get(&self, key: String) -> Result<String>;
}

/// Only the mistake in the trait is shown, whatever is done with what comes of it.
async fn uses(channel: Channel) -> Result<String> {
    let client = StoreClient::new(channel).with(blixard_rpc::CallOptions::new());
    client.get("a".into()).await
}

fn main() {
    drop(uses);
    println!("{}", StoreService::descriptor().name);
}
