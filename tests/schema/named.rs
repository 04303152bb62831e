//! A service whose names are what linters ask for, as far as a person gives them. The others follow.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use blixard_rpc::{Result, Streaming, iroh_service, message};
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
    async fn stop(&self) -> Result<()>;
    #[deprecated]
    #[rpc(oneway)]
    async fn note(&self, text: String);
}
