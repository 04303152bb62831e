#[iroh_service]
trait Conditional {
    async fn first(&self) -> Result<()>;
    #[cfg(feature = "extra")]
    #[cfg(unix)]
    async fn extra(&self, a: u32, b: u32) -> Result<u32>;
    async fn last(&self) -> Result<()>;
}
