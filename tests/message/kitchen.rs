//! A service that uses everything a message can have.

#![allow(deprecated, reason = "what is deprecated is described too")]

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, SystemTime},
};

use blixard_rpc::{Result, Streaming, iroh_service, message};
use bytes::Bytes;

/// One of everything.
///
/// The second paragraph.
#[message]
#[reserved(10, 100..=199, 2001..=536870911, "old_text", "older")]
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wide {
    /// Numbers of all sizes.
    pub(crate) numbers: Numbers,
    pub(crate) text: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) blob: Bytes,
    pub(crate) maybe_text: Option<String>,
    pub(crate) maybe_bytes: Option<Vec<u8>>,
    pub(crate) maybe_number: Option<u32>,
    pub(crate) maybe_color: Option<Color>,
    pub(crate) wait: Option<Duration>,
    /// Far from the others, and not in their order.
    #[tag(2000)]
    pub(crate) far: i32,
    #[tag(20)]
    pub(crate) at: Option<SystemTime>,
    pub(crate) packed: Vec<i64>,
    pub(crate) floats: Vec<f32>,
    pub(crate) flags: Vec<bool>,
    pub(crate) texts: Vec<String>,
    pub(crate) blobs: Vec<Bytes>,
    pub(crate) waits: Vec<Duration>,
    pub(crate) many: Vec<Numbers>,
    pub(crate) colors: Vec<Color>,
    pub(crate) counts: BTreeMap<String, u64>,
    pub(crate) by_number: BTreeMap<i32, Numbers>,
    pub(crate) by_flag: BTreeMap<bool, Color>,
    pub(crate) choice: Option<Choice>,
    pub(crate) choices: Vec<Choice>,
    pub(crate) color: Color,
    pub(crate) unit: Option<()>,
    pub(crate) tree: Option<Box<Tree>>,
}

#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Numbers {
    pub(crate) a: bool,
    pub(crate) b: i32,
    pub(crate) c: i64,
    pub(crate) d: u32,
    pub(crate) e: u64,
    pub(crate) f: f32,
    pub(crate) g: f64,
    pub(crate) h: u8,
    pub(crate) i: u16,
    pub(crate) j: i8,
    pub(crate) k: i16,
}

/// What is seen.
#[message]
#[reserved(2, 5..=7, -10..=-8, 100..=2147483647, "COLOR_GREY")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Color {
    /// The longest waves.
    Red = 1,
    Unspecified = 0,
    DarkBlue = -4,
    #[unknown]
    Other(i32),
}

/// One of these.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Choice {
    /// Nothing to say.
    Silence,
    Text(String),
    #[tag(9)]
    Number(i64),
    Color(Color),
    /// With fields of its own.
    #[reserved(4, "middle")]
    Pair {
        /// The first.
        left: String,
        right: Option<u32>,
        more: Vec<Color>,
    },
    Wait(Duration),
    Tree(Box<Tree>),
    #[unknown]
    None,
}

#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tree {
    pub(crate) name: String,
    pub(crate) children: Vec<Self>,
    pub(crate) left: Option<Box<Self>>,
    pub(crate) by_name: BTreeMap<String, Self>,
}

/// Everything that a message can have.
#[iroh_service(package = "kitchen.v1")]
pub(crate) trait Kitchen {
    /// Cooks it.
    ///
    /// Slowly.
    async fn cook(&self, wide: Wide) -> Result<Wide>;
    async fn watch(&self, name: String) -> Result<Streaming<Tree>>;
    #[rpc(idempotent)]
    async fn count(&self, choices: Streaming<Choice>) -> Result<u64>;
    async fn chat(&self, lines: Streaming<Bytes>) -> Result<Streaming<Bytes>>;
    async fn many(
        &self,
        name: String,
        /// Where it is.
        #[tag(7)]
        by_name: HashMap<String, Numbers>,
        until: Option<SystemTime>,
    ) -> Result<()>;
    #[rpc(oneway)]
    async fn note(&self, choice: Choice);
    /// See [`watch`](Self::watch).
    #[deprecated]
    #[rpc(idempotent)]
    async fn look(&self) -> Result<Old>;
    #[deprecated]
    async fn close(&self, old: Old) -> Result<Level>;
}

/// What is not used any more.
#[message]
#[deprecated]
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Old {
    pub(crate) level: Option<Degree>,
    /// As [`level`](Self::level), but older.
    #[deprecated = "use level"]
    pub(crate) label: String,
    #[deprecated]
    pub(crate) prices: BTreeMap<String, u64>,
    pub(crate) way: Option<Way>,
}

#[message]
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Way {
    Up,
    /// Not any more.
    #[deprecated]
    Down {
        by: u32,
    },
}

/// How far something goes.
#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Level {}

#[message]
#[within(Level)]
#[deprecated]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Degree {
    None,
    /// Not much.
    #[deprecated]
    Some = 4,
    #[unknown]
    Other(i32),
}
