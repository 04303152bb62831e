use blixard_rpc::{Result, RpcError, Status, iroh_service};

#[iroh_service]
trait Büro {
    async fn grüße(&self, name: String) -> Result<String>;
    async fn send(&self, straße: String, #[tag(2)] town: String) -> Result<()>;
    // The name on the wire is set.
    #[rpc(name = "Weigh")]
    async fn wäge(&self, name: String) -> Result<u32>;
}

#[derive(Debug, RpcError)]
enum OrderError {
    #[rpc(message = "too large")]
    ZuGroß { größe: u32 },
    #[rpc(status)]
    Übrig(Status),
}

fn main() {}
