use blixard_rpc::{Result, iroh_service};

#[iroh_service(pakage = "demo.v1")]
pub trait Store {
    async fn right(&self, key: String) -> Result<String>;
    async fn generic<K>(&self, key: K) -> Result<String>;
    #[rpc(deadlin = "5s")]
    async fn borrowed(&mut self, key: &str) -> String;
}

struct Memory;

impl Store for Memory {
    async fn right(&self, key: String) -> Result<String> {
        Ok(key)
    }
    async fn generic<K>(&self, _: K) -> Result<String> {
        Ok(String::new())
    }
    async fn borrowed(&mut self, key: &str) -> String {
        key.to_owned()
    }
}

/// Nothing follows from the mistakes: the generated names are there.
pub async fn uses() -> Result<String> {
    let server = StoreServer::new(Memory);
    let client = StoreClient::new(server);
    client.right("a".into()).await
}

fn main() {}
