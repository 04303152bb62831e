use blixard_rpc::{Context, Streaming, iroh_service};

pub mod errors {
    #[derive(Debug)]
    pub struct MyError;
}

#[iroh_service]
pub trait Store {
    async fn list(
        &self,
        cx: &Context,
        prefix: String,
    ) -> Result<Streaming<String, errors::MyError>, errors::MyError>;
}

fn main() {}
