use std::rc::Rc;

use blixard_rpc::{Result, iroh_service};

#[iroh_service]
pub trait Store {
    async fn get(&self, key: String) -> Result<String>;
    async fn len(&self) -> Result<u64>;
}

struct Memory;

impl Store for Memory {
    async fn get(&self, key: String) -> Result<String> {
        let key = Rc::new(key);
        self.len().await?;
        Ok(key.to_string())
    }
    async fn len(&self) -> Result<u64> {
        Ok(0)
    }
}

fn main() {}
