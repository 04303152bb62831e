//! The service that the suite calls. What its handlers do lives in `subject`.

use bytes::Bytes;

use crate::{Context, Result, RpcError, Status, Streaming, iroh_service, message};

/// A message with a bit of everything.
#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Parcel {
    pub(super) number: u64,
    pub(super) label: String,
    pub(super) weight: Option<f64>,
    pub(super) data: Bytes,
    pub(super) parts: Vec<String>,
    #[tag(9)]
    pub(super) inner: Option<Box<Self>>,
}

/// What came out of a request stream.
#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Total {
    pub(super) items: u64,
    pub(super) bytes: u64,
}

/// An error of the service's own.
#[derive(Clone, Debug, RpcError)]
#[rpc(package = "blixard.testing.v1")]
pub(super) enum Refusal {
    #[rpc(code = "NOT_FOUND", message = "nobody is called {name}")]
    Nobody { name: String, similar: Vec<String> },
    #[rpc(code = "FAILED_PRECONDITION", message = "{0} are too many")]
    TooMany(u64),
    #[rpc(code = "ABORTED", message = "closed")]
    Closed,
    #[rpc(status)]
    Other(Status),
}

/// What is called. Handlers that take a context do what the plan says that the metadata names.
#[iroh_service(package = "blixard.testing.v1")]
pub(super) trait Conformance {
    async fn call(&self, cx: &Context, data: Bytes) -> Result<Bytes>;
    async fn give(&self, cx: &Context, data: Bytes) -> Result<Streaming<Bytes>>;
    async fn take(&self, cx: &Context, items: Streaming<Bytes>) -> Result<Total>;
    async fn chat(&self, cx: &Context, items: Streaming<Bytes>) -> Result<Streaming<Bytes>>;
    #[rpc(oneway)]
    async fn note(&self, cx: &Context, data: Bytes);

    async fn echo(&self, data: Bytes) -> Result<Bytes>;
    async fn nothing(&self) -> Result<()>;
    async fn nothings(&self, items: Streaming<()>) -> Result<Streaming<()>>;
    async fn several(
        &self,
        number: u64,
        label: String,
        weight: Option<f64>,
        data: Bytes,
        parts: Vec<String>,
    ) -> Result<Parcel>;
    async fn parcels(&self, items: Streaming<Parcel>) -> Result<Streaming<Parcel>>;

    async fn refuse(&self, which: u32) -> Result<(), Refusal>;
    async fn refuse_later(&self, which: u32) -> Result<Streaming<u32, Refusal>, Refusal>;

    #[rpc(max_message = "1KiB")]
    async fn small(&self, cx: &Context, data: Bytes) -> Result<Bytes>;
    #[rpc(deadline = "200ms", idempotent)]
    async fn hasty(&self, cx: &Context, data: Bytes) -> Result<Bytes>;
    #[rpc(priority = "critical")]
    async fn urgent(&self, cx: &Context, data: Bytes) -> Result<Bytes>;
}

/// A version of the service that is younger than the server.
#[iroh_service(package = "blixard.testing.v1", name = "Conformance")]
pub(super) trait Younger {
    async fn invented(&self, data: Bytes) -> Result<Bytes>;
    async fn poured(&self, data: Bytes) -> Result<Streaming<Bytes>>;
    async fn filled(&self, items: Streaming<Bytes>) -> Result<Bytes>;
    async fn talked(&self, items: Streaming<Bytes>) -> Result<Streaming<Bytes>>;
}

/// A service that nobody serves.
#[iroh_service(package = "blixard.testing.v1")]
pub(super) trait Absent {
    async fn call(&self, data: Bytes) -> Result<Bytes>;
    async fn chat(&self, items: Streaming<Bytes>) -> Result<Streaming<Bytes>>;
}
