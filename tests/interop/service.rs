//! The service that both sides talk by: every shape of calls, and a message with every kind of field.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use blixard_rpc::{Context, Result, Status, Streaming, iroh_service, message, status::Detail};
use bytes::Bytes;
use tokio::sync::Notify;

/// A thing in store.
#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Item {
    /// Which it is; some say what is to be done.
    pub(crate) name: String,
    pub(crate) count: u32,
    pub(crate) weight: Option<f64>,
    pub(crate) data: Bytes,
    #[tag(9)]
    pub(crate) tags: Vec<String>,
    pub(crate) sizes: Vec<i64>,
    pub(crate) prices: HashMap<String, u64>,
    pub(crate) kind: Kind,
    pub(crate) state: Option<State>,
    pub(crate) inner: Option<Box<Self>>,
    pub(crate) lasts: Option<Duration>,
    pub(crate) since: Option<SystemTime>,
}

/// What a thing is made of.
#[message]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Kind {
    #[default]
    Unsaid,
    Wood,
    DarkMetal = 7,
    #[unknown]
    Other(i32),
}

/// Where a thing is.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum State {
    OnShelf(u32),
    Sold {
        to: String,
        at: u64,
    },
    #[unknown]
    Unknown,
}

/// What came in.
#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Receipt {
    pub(crate) items: u32,
    pub(crate) names: Vec<String>,
}

/// Keeps things.
#[iroh_service(package = "interop.v1")]
pub(crate) trait Depot {
    /// Gives an item back as it came, or does what its name says.
    async fn keep(&self, cx: &Context, item: Item) -> Result<Item>;
    /// So many items of this name.
    async fn browse(&self, name: String, count: u32) -> Result<Streaming<Item>>;
    /// All together.
    async fn load(&self, items: Streaming<Item>) -> Result<Receipt>;
    /// Each item as it comes, until one is named "fail".
    async fn trade(&self, items: Streaming<Item>) -> Result<Streaming<Item>>;
    /// Remembers an item.
    #[rpc(oneway)]
    async fn note(&self, item: Item);
    /// A text for a number: each is the one field of a message.
    async fn spell(&self, number: u64) -> Result<String>;
}

/// An item with a bit of everything.
pub(crate) fn sample(name: &str) -> Item {
    Item {
        name: name.to_owned(),
        count: u32::MAX,
        weight: Some(-0.5),
        data: Bytes::from_static(&[0, 255]),
        tags: vec![String::new(), "Grüße".to_owned()],
        sizes: vec![i64::MIN, -1, 0, i64::MAX],
        prices: HashMap::from([("a".to_owned(), u64::MAX)]),
        kind: Kind::DarkMetal,
        state: Some(State::Sold {
            to: "Ada".to_owned(),
            at: 7,
        }),
        inner: Some(Box::default()),
        lasts: Some(Duration::from_millis(1500)),
        since: Some(SystemTime::UNIX_EPOCH + Duration::from_nanos(1)),
    }
}

/// The error of an item named "fail".
pub(crate) fn failure() -> Status {
    let mut status = Status::failed_precondition("zu schwer: 100 %").with_detail(Detail {
        type_url: "type.googleapis.com/interop.v1.Receipt".to_owned(),
        value: Bytes::from_static(&[8, 3]),
    });
    let metadata = status.metadata_mut();
    metadata.append("why", "weight").expect("it is a text");
    metadata
        .append_bin("why-bin", vec![1, 2])
        .expect("it is a binary key");
    status
}

/// Keeps things, and tells when something happened.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    /// A call that waits for ever has begun.
    pub(crate) waiting: Arc<Notify>,
    /// A call that waits for ever was dropped.
    pub(crate) dropped: Arc<Notify>,
    /// An item was noted.
    pub(crate) noted: Arc<Notify>,
}

struct Dropped(Arc<Notify>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Depot for Keeper {
    async fn keep(&self, cx: &Context, item: Item) -> Result<Item> {
        match &*item.name {
            "fail" => return Err(failure()),
            "panic" => panic!("as asked: this panic is part of a test"),
            "wait" => {
                let _dropped = Dropped(Arc::clone(&self.dropped));
                self.waiting.notify_one();
                std::future::pending().await
            }
            "metadata" => {
                let sent = cx.metadata();
                cx.set_header("head", sent.get("text").unwrap_or("none"))?;
                let bytes = sent.get_bin("data-bin").cloned().unwrap_or_default();
                cx.set_trailer_bin("tail-bin", bytes)?;
                cx.set_trailer("peer", cx.peer().to_string())?;
                let left = cx.remaining().unwrap_or_default();
                cx.set_trailer("seconds-left", left.as_secs().to_string())?;
            }
            _ => {}
        }
        Ok(item)
    }

    async fn browse(&self, name: String, count: u32) -> Result<Streaming<Item>> {
        Ok(Streaming::from_iter((0..count).map(move |count| Item {
            name: name.clone(),
            count,
            ..Item::default()
        })))
    }

    async fn load(&self, mut items: Streaming<Item>) -> Result<Receipt> {
        let mut receipt = Receipt::default();
        while let Some(item) = items.next().await {
            receipt.items += 1;
            receipt.names.push(item?.name);
        }
        Ok(receipt)
    }

    async fn trade(&self, mut items: Streaming<Item>) -> Result<Streaming<Item>> {
        let (sender, back) = Streaming::channel(1);
        tokio::spawn(async move {
            while let Some(item) = items.next().await {
                match item {
                    Ok(item) if item.name == "fail" => return sender.fail(failure()).await,
                    Ok(item) => sender.send(item).await?,
                    Err(status) => return sender.fail(status).await,
                }
            }
            Ok(())
        });
        Ok(back)
    }

    async fn note(&self, _: Item) {
        self.noted.notify_one();
    }

    async fn spell(&self, number: u64) -> Result<String> {
        Ok(format!("number {number}"))
    }
}
