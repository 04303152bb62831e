//! A service whose names are what linters ask for, as far as a person gives them. The others follow.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use blixard_rpc::{Result, RpcError, Status, Streaming, iroh_service, message};
use bytes::Bytes;

/// An article, and how many there are.
#[message]
#[derive(Clone, Debug, PartialEq)]
#[reserved(9, "colour")]
pub(crate) struct StockServiceCountResponse {
    pub(crate) article: String,
    pub(crate) count: u64,
    pub(crate) state: State,
    pub(crate) place: Option<Place>,
    pub(crate) since: Option<SystemTime>,
    pub(crate) by_store: HashMap<String, u32>,
}

/// How an article is.
#[message]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Unspecified,
    Sold,
    #[deprecated]
    OnItsWay,
    #[unknown]
    Other(i32),
}

/// Where an article is.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Place {
    Nowhere,
    Shelf(u32),
    Box { number: u32, label: Option<String> },
}

/// What is there.
///
/// Lists, as in [`watch`](Stock::watch):
///  - of one line,
///  - of another.
#[iroh_service(package = "stock.v1", name = "StockService")]
pub(crate) trait Stock {
    /// Counts an article.
    #[rpc(idempotent)]
    async fn count(&self, article: String) -> Result<StockServiceCountResponse>;
    /// Puts some more there.
    async fn put(
        &self,
        /// Which.
        article: String,
        /// How many.
        count: u32,
        within: Option<Duration>,
    ) -> Result<()>;
    async fn watch(&self, articles: u64) -> Result<Streaming<bool>>;
    async fn upload(&self, parts: Streaming<Bytes>) -> Result<u64>;
    async fn talk(&self, words: Streaming<String>) -> Result<Streaming<String>>;
    async fn stop(&self) -> Result<(), OtherError>;
    async fn take(&self, article: String, count: u64) -> Result<(), StockError>;
    async fn find(&self, article: String) -> Result<String, StockError>;
    /// An error that has no detail.
    async fn lose(&self, article: String) -> Result<(), Status>;
    #[deprecated]
    #[rpc(oneway)]
    async fn note(&self, text: String);
}

/// Why something is not there.
#[derive(Debug, RpcError)]
#[rpc(package = "stock.v1")]
#[reserved(1, "lost")]
pub(crate) enum StockError {
    /// There are fewer.
    #[rpc(code = "OUT_OF_RANGE", message = "only {0} are left")]
    #[tag(2)]
    TooFew(u64),
    #[rpc(code = "NOT_FOUND", message = "nothing is called {name}")]
    #[deprecated]
    Unknown { name: String },
    #[rpc(status)]
    Other(Status),
}

/// Is the error of another package: its detail is none of this one.
#[derive(Debug, RpcError)]
#[rpc(package = "elsewhere.v1")]
pub(crate) enum OtherError {
    #[rpc(message = "it is gone")]
    Gone,
    #[rpc(status)]
    Other(Status),
}

/// The detail is in the schema once, where a client finds it by the name in its `Any`.
#[test]
fn the_detail_of_an_error_is_in_the_schema() {
    let text = StockService::descriptor().proto().unwrap();
    let detail = "// Why something is not there.
message StockErrorDetail {
  reserved 1;
  reserved \"lost\";
  oneof kind {
    // There are fewer.
    //
    // With the code `OUT_OF_RANGE`.
    uint64 too_few = 2;
    // With the code `NOT_FOUND`.
    StockErrorDetail.Unknown unknown = 3 [deprecated = true];
  }
";
    assert_eq!(text.matches(detail).count(), 1, "{text}");
    assert!(!text.contains("OtherErrorDetail"), "{text}");
    let status = Status::from(StockError::TooFew(2));
    assert_eq!(
        status.details()[0].type_url,
        "type.googleapis.com/stock.v1.StockErrorDetail"
    );
}
