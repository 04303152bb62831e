/// Greets people.
#[iroh_service(package = "demo.v1")]
pub trait Greeter {
    /// Greets one person.
    async fn greet(&self, name: String, polite: bool) -> Result<Greeting>;
    /// Greets again and again.
    async fn follow(&self, name: String) -> Result<Streaming<Greeting>>;
    /// Counts names.
    async fn collect(&self, names: Streaming<String>) -> Result<u64>;
    /// Talks.
    async fn chat(&self, cx: &Context, lines: Streaming<Line>) -> Result<Streaming<Line>>;
    /// Takes a note.
    #[rpc(oneway)]
    async fn note(&self, event: Event);
}
