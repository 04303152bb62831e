#[iroh_service(pakage = "demo.v1")]
pub trait Mistakes {
    async fn right(&self, name: String) -> Result<String>;
    async fn generic<T>(&self, value: T) -> Result<T>;
    #[rpc(deadlin = "5s")]
    async fn borrowed(&mut self, name: &str);
}
