//! A crate as a user writes it: a service with messages and errors of its own, called in memory and over iroh. Its only dependency is
//! blixard-rpc: what the macros expand to needs no other crate to be named.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use blixard_rpc::{Context, RpcError, Status, Streaming, iroh_service, message};

/// A thing that can be had.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// What it is called.
    pub name: String,
    /// What kind of thing it is.
    pub kind: Kind,
    /// What it looks like.
    pub picture: Option<Vec<u8>>,
    /// What else is known of it.
    pub labels: BTreeMap<String, String>,
    /// How long it keeps.
    #[tag(9)]
    pub keeps: Duration,
}

/// A kind of things.
#[message]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nobody knows.
    Unspecified,
    /// Can be eaten.
    Food,
    /// Can be used.
    Tool,
    /// A kind that is not known here.
    #[unknown]
    Other(i32),
}

/// What is found, or where else to look.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// Nothing at all.
    Nothing,
    /// It is here.
    Here(Item),
    /// It is elsewhere.
    Elsewhere {
        /// On this shelf.
        shelf: u32,
    },
}

/// How a store fails.
#[derive(Clone, Debug, RpcError)]
#[rpc(package = "standalone.v1")]
pub enum StoreError {
    /// There is no room.
    #[rpc(code = "RESOURCE_EXHAUSTED", message = "all {places} places are taken")]
    Full {
        /// How many there are.
        places: u32,
    },
    /// Anything else.
    #[rpc(status)]
    Other(Status),
}

/// Keeps things.
#[iroh_service(package = "standalone.v1")]
pub trait Store {
    /// Puts one thing in.
    async fn put(&self, item: Item) -> Result<u32, StoreError>;
    /// Looks for a thing by its name.
    #[rpc(idempotent, deadline = "5s")]
    async fn find(&self, #[tag(1)] name: String, fold_case: bool) -> blixard_rpc::Result<Found>;
    /// All things.
    async fn all(&self) -> blixard_rpc::Result<Streaming<Item>>;
    /// Puts many things in.
    async fn fill(&self, items: Streaming<Item, StoreError>) -> Result<u32, StoreError>;
    /// Answers each name by what is found.
    async fn look(
        &self,
        cx: &Context,
        names: Streaming<String>,
    ) -> blixard_rpc::Result<Streaming<Found>>;
    /// Forgets everything.
    #[rpc(oneway)]
    async fn clear(&self);
}

/// A store with three places.
#[derive(Debug, Default)]
pub struct Shelf(Mutex<Vec<Item>>);

const PLACES: u32 = 3;

impl Shelf {
    fn items(&self) -> std::sync::MutexGuard<'_, Vec<Item>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn named(&self, name: &str, fold_case: bool) -> Found {
        let is_it =
            |item: &&Item| item.name == name || fold_case && item.name.eq_ignore_ascii_case(name);
        match self.items().iter().find(is_it) {
            Some(item) => Found::Here(item.clone()),
            None if name.starts_with("shelf ") => Found::Elsewhere { shelf: 7 },
            None => Found::Nothing,
        }
    }
}

impl Store for Shelf {
    async fn put(&self, item: Item) -> Result<u32, StoreError> {
        let mut items = self.items();
        if items.len() >= PLACES as usize {
            return Err(StoreError::Full { places: PLACES });
        }
        items.push(item);
        Ok(items.len() as u32)
    }

    async fn find(&self, name: String, fold_case: bool) -> blixard_rpc::Result<Found> {
        if name.is_empty() {
            return Err(Status::invalid_argument("a thing has a name"));
        }
        Ok(self.named(&name, fold_case))
    }

    async fn all(&self) -> blixard_rpc::Result<Streaming<Item>> {
        Ok(Streaming::from_iter(self.items().clone()))
    }

    async fn fill(&self, mut items: Streaming<Item, StoreError>) -> Result<u32, StoreError> {
        let mut places = 0;
        while let Some(item) = items.next().await {
            places = self.put(item?).await?;
        }
        Ok(places)
    }

    async fn look(
        &self,
        cx: &Context,
        names: Streaming<String>,
    ) -> blixard_rpc::Result<Streaming<Found>> {
        if cx.metadata().get("hurry").is_some() {
            return Err(Status::unavailable("looking takes time"));
        }
        let mut found = Vec::new();
        for name in names.collect().await? {
            found.push(self.named(&name, false));
        }
        Ok(Streaming::from_iter(found))
    }

    async fn clear(&self) {
        self.items().clear();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::Arc,
        task::{Context as TaskContext, Poll, Wake},
        thread::{self, Thread},
    };

    use blixard_rpc::{
        CallOptions, Channel, Code, Memory, Router, block_on,
        transport::iroh::{IrohConnector, IrohServer, SecretKey, bind, presets},
    };

    use super::*;

    fn item(name: &str) -> Item {
        Item {
            name: name.into(),
            kind: Kind::Tool,
            picture: Some(vec![0, 1, 2]),
            labels: [("made of".into(), "iron".into())].into(),
            keeps: Duration::from_millis(1500),
        }
    }

    fn router() -> Router {
        Router::new().add(StoreServer::new(Shelf::default()))
    }

    /// All that the service can, by whatever the store is: the shelf, or a client of it.
    async fn use_store(store: &impl Store, cx: &Context) {
        assert_eq!(store.put(item("hammer")).await.unwrap(), 1);
        let found = store.find("HAMMER".into(), true).await.unwrap();
        assert_eq!(found, Found::Here(item("hammer")));
        let status = store.find(String::new(), false).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);

        let more = ["saw", "file", "axe"].map(item);
        let full = store.fill(Streaming::from_iter(more)).await.unwrap_err();
        assert!(matches!(full, StoreError::Full { places: 3 }), "{full}");
        assert_eq!(full.to_string(), "all 3 places are taken");
        let all = store.all().await.unwrap().collect().await.unwrap();
        assert_eq!(all, ["hammer", "saw", "file"].map(item));

        let names = ["saw", "axe", "shelf 7"].map(String::from);
        let found = store.look(cx, Streaming::from_iter(names)).await.unwrap();
        let expected = [
            Found::Here(item("saw")),
            Found::Nothing,
            Found::Elsewhere { shelf: 7 },
        ];
        assert_eq!(found.collect().await.unwrap(), expected);

        store.clear().await;
        while store.find("saw".into(), false).await.unwrap() != Found::Nothing {
            yield_now().await;
        }
    }

    /// Lets the other tasks of the thread run: nobody waits for a one-way call.
    async fn yield_now() {
        let mut yielded = false;
        std::future::poll_fn(|cx| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    #[test]
    fn without_a_network() {
        let client = StoreClient::new(Channel::new(Memory::new(router())));
        block_on(async {
            let cx = Context::background();
            use_store(&Shelf::default(), &cx).await;
            use_store(&client, &cx).await;
            let hurried = client.with(CallOptions::new().metadata("hurry", "1"));
            let status = hurried.look(&cx, Streaming::empty()).await.unwrap_err();
            assert_eq!(status.code(), Code::Unavailable);
        });
    }

    /// In memory, handlers run inside the caller's own future: any executor will do.
    #[test]
    fn without_a_runtime() {
        struct Unpark(Thread);

        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }

        let client = StoreClient::new(Memory::new(router()));
        let mut used = std::pin::pin!(async {
            assert_eq!(client.put(item("hammer")).await.unwrap(), 1);
            assert_eq!(
                client.all().await.unwrap().collect().await.unwrap().len(),
                1
            );
            client.clear().await;
            assert!(
                client
                    .all()
                    .await
                    .unwrap()
                    .collect()
                    .await
                    .unwrap()
                    .is_empty()
            );
        });
        let waker = Arc::new(Unpark(thread::current())).into();
        while used
            .as_mut()
            .poll(&mut TaskContext::from_waker(&waker))
            .is_pending()
        {
            thread::park();
        }
    }

    #[test]
    fn over_iroh() {
        block_on(async {
            let endpoint = bind(presets::Minimal, SecretKey::generate()).await.unwrap();
            let server = IrohServer::new(router()).spawn(endpoint);
            let endpoint = bind(presets::Minimal, SecretKey::generate()).await.unwrap();
            let connection = IrohConnector::new(endpoint).dial(server.peer()).await;
            let client = StoreClient::new(Channel::new(connection.unwrap()));
            use_store(&client, &Context::with_deadline(Duration::from_secs(30))).await;
            server.shutdown(Duration::from_secs(1)).await;
        });
    }

    #[test]
    fn there_is_one_dependency() {
        let manifest = include_str!("../Cargo.toml");
        let dependencies: Vec<&str> = manifest
            .split("\n[")
            .filter(|section| section.contains("dependencies"))
            .flat_map(|section| section.lines().skip(1))
            .filter(|line| !line.is_empty())
            .collect();
        assert_eq!(dependencies, [r#"blixard-rpc = { path = "../../rpc" }"#]);
    }
}
