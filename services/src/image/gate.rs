//! [`Gate`]: who fetches what, asked for every request before anything of it is read.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use iroh_blobs::provider::events::{
    AbortReason, ConnectMode, EventMask, EventSender, ObserveMode, ProviderMessage, RequestMode,
    ThrottleMode,
};
use tokio::{sync::mpsc, task::AbortHandle};

use super::valid::Word;

/// The most requests of one peer that are answered at a time.
pub const MAX_REQUESTS: usize = 64;

/// Lets requests pass, and knows which go on.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate(Arc<Mutex<Going>>);

/// How many requests go on.
#[derive(Debug, Default)]
struct Going {
    of_peer: BTreeMap<Word, usize>,
    of_hash: BTreeMap<Word, usize>,
}

/// Whether this key may fetch this hash. It may look at files: it is asked on a thread that may wait.
pub(super) type MayFetch = Arc<dyn Fn(&Word, &Word) -> bool + Send + Sync>;

impl Gate {
    /// Whether somebody fetches this.
    pub(super) fn gives(&self, hash: &Word) -> bool {
        self.lock().of_hash.contains_key(hash)
    }

    /// Begins: what is asked of the sender passes if `may` says so.
    pub(super) fn begin(&self, may: MayFetch) -> (EventSender, Guard) {
        let mask = EventMask {
            connected: ConnectMode::Intercept,
            get: RequestMode::Intercept,
            get_many: RequestMode::Disabled,
            push: RequestMode::Disabled,
            observe: ObserveMode::Intercept,
            throttle: ThrottleMode::None,
        };
        let (sender, events) = EventSender::channel(EVENTS_QUEUED, mask);
        let task = tokio::spawn(self.clone().run(events, may));
        (sender, Guard(task.abort_handle()))
    }

    async fn run(self, mut events: mpsc::Receiver<ProviderMessage>, may: MayFetch) {
        // As many as there are connections, which the endpoint bounds.
        let mut peers: BTreeMap<u64, Word> = BTreeMap::new();
        while let Some(event) = events.recv().await {
            match event {
                ProviderMessage::ClientConnected(event) => {
                    let key = event.inner.endpoint_id.map(|id| *id.as_bytes());
                    let answer = match key {
                        Some(key) => {
                            peers.insert(event.inner.connection_id, key);
                            Ok(())
                        }
                        None => Err(AbortReason::Permission),
                    };
                    // Who is gone needs no answer.
                    let _ = event.tx.send(answer).await;
                }
                ProviderMessage::ConnectionClosed(event) => {
                    peers.remove(&event.inner.connection_id);
                }
                ProviderMessage::GetRequestReceived(event) => {
                    let hash = *event.inner.request.hash.as_bytes();
                    let asked = self.asked(peers.get(&event.inner.connection_id), hash, &may);
                    tokio::spawn(async move {
                        let asked = match asked {
                            Ok(asked) => asked,
                            Err(reason) => return drop(event.tx.send(Err(reason)).await),
                        };
                        let (answer, _going) = asked.answer().await;
                        let passes = answer.is_ok();
                        let _ = event.tx.send(answer).await;
                        let mut updates = event.rx;
                        // It says nothing, and ends with the request.
                        while passes && matches!(updates.recv().await, Ok(Some(_))) {}
                    });
                }
                ProviderMessage::ObserveRequestReceived(event) => {
                    // Nodes ask each other by `Locate`.
                    let _ = event.tx.send(Err(AbortReason::Permission)).await;
                }
                _ => {}
            }
        }
    }

    fn asked(&self, peer: Option<&Word>, hash: Word, may: &MayFetch) -> Result<Asked, AbortReason> {
        let peer = *peer.ok_or(AbortReason::Permission)?;
        let mut going = self.lock();
        let of_peer = going.of_peer.entry(peer).or_default();
        if *of_peer >= MAX_REQUESTS {
            return Err(AbortReason::RateLimited);
        }
        *of_peer += 1;
        *going.of_hash.entry(hash).or_default() += 1;
        drop(going);
        Ok(Asked {
            may: Arc::clone(may),
            place: Place {
                gate: self.clone(),
                peer,
                hash,
            },
        })
    }

    fn lock(&self) -> MutexGuard<'_, Going> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Asked {
    may: MayFetch,
    place: Place,
}

impl Asked {
    async fn answer(self) -> (Result<(), AbortReason>, Place) {
        let Self { may, place } = self;
        let (peer, hash) = (place.peer, place.hash);
        let asked = tokio::task::spawn_blocking(move || may(&peer, &hash)).await;
        let answer = match asked {
            Ok(true) => Ok(()),
            _ => Err(AbortReason::Permission),
        };
        (answer, place)
    }
}

/// One of the requests that go on.
struct Place {
    gate: Gate,
    peer: Word,
    hash: Word,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut going = self.gate.lock();
        let Going { of_peer, of_hash } = &mut *going;
        for (counts, key) in [(of_peer, &self.peer), (of_hash, &self.hash)] {
            if let Some(count) = counts.get_mut(key) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(key);
                }
            }
        }
    }
}

/// The gate is open for as long as this is there.
pub(super) struct Guard(AbortHandle);

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guard")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

const EVENTS_QUEUED: usize = 64;
