/// Everything that can be said of a method.
#[iroh_service(package = "demo.v1", name = "Everything")]
#[deprecated(note = "too much")]
pub(crate) trait Attributes {
    #[rpc(name = "Renamed", idempotent, deadline = "250ms", priority = "high", max_message = "64KiB")]
    #[must_use]
    async fn settings(&self) -> Result<(), Failure>;
    #[deprecated]
    async fn tagged(
        &self,
        cx: &blixard_rpc::Context,
        /// Whom to find.
        #[tag(4)] name: String,
        #[allow(unused)] _limit: u32,
    ) -> Result<Vec<u8>, Failure> {
        find(name).await
    }
    async fn one_tagged(&self, #[tag(1)] after: Duration) -> blixard_rpc::Result<()>;
}
