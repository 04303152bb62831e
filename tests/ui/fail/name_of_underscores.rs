use blixard_rpc::{Result, iroh_service};

#[iroh_service]
trait Store {
    async fn __(&self) -> Result<()>;
    async fn _2fa(&self) -> Result<()>;
    // The name on the wire is set.
    #[rpc(name = "Empty")]
    async fn ___(&self) -> Result<()>;
    async fn _get(&self) -> Result<()>;
}

fn main() {}
