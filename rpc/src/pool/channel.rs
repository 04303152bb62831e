//! [`Pool`] and [`PooledChannel`]: calls on the one shared connection to each peer.

use std::{
    collections::HashMap,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll},
};

use bytes::Bytes;

use super::{
    config::PoolConfig,
    entry::{Entry, InUse},
};
use crate::{
    call::{Batch, Body, BodyStream, Codec, Request, Response},
    dispatch::{Connect, Dispatch},
    metadata::Metadata,
    method::ServiceDescriptor,
    status::{Result, Status},
};

/// One shared connection a peer, for all services and clients.
///
/// Nothing is dialled before the first call. Calls wait for an attempt that is under way, within their deadline; after one that
/// failed they fail at once, with `UNAVAILABLE`, the reason, and when the next attempt is made. A clone is another handle of the
/// same pool.
///
/// ```
/// # use blixard_rpc::{Channel, Connect, Pool};
/// # fn example<C: Connect>(connector: C, peer: C::Peer) {
/// let pool = Pool::new(connector);
/// let channel = Channel::new(pool.channel(peer)); // for any number of clients; nothing is dialled yet
/// # drop(channel);
/// # }
/// ```
pub struct Pool<C: Connect>(Arc<Shared<C>>);

struct Shared<C: Connect> {
    connect: Arc<C>,
    config: PoolConfig,
    entries: Mutex<HashMap<C::Peer, Arc<Entry<C>>>>,
}

impl<C: Connect> Pool<C> {
    /// A pool of connections that `connect` opens.
    pub fn new(connect: C) -> Self {
        Self::with_config(connect, PoolConfig::default())
    }

    /// A pool with its own limits and times.
    pub fn with_config(connect: C, config: PoolConfig) -> Self {
        Self(Arc::new(Shared {
            connect: Arc::new(connect),
            config,
            entries: Mutex::default(),
        }))
    }

    /// The channel to `peer`; it connects when it is first called.
    #[must_use]
    pub fn channel(&self, peer: C::Peer) -> PooledChannel<C> {
        let mut entries = self.0.lock();
        if !entries.contains_key(&peer) {
            // What nobody holds and has no connection is only a memory.
            entries.retain(|_, entry| Arc::strong_count(entry) > 1 || entry.lock().slot.is_live());
        }
        let entry = entries.entry(peer).or_insert_with_key(|peer| {
            let connect = Arc::clone(&self.0.connect);
            Arc::new(Entry::new(peer.clone(), connect, self.0.config))
        });
        PooledChannel {
            entry: Arc::clone(entry),
            pool: Arc::downgrade(&self.0),
        }
    }

    /// How many connections are open or being opened.
    #[must_use]
    pub fn connections(&self) -> usize {
        let entries = self.0.lock();
        entries
            .values()
            .filter(|entry| entry.lock().slot.is_live())
            .count()
    }

    /// Gives the connection to `peer` up, where there is one; calls on it go on, the next one dials at once.
    pub fn disconnect(&self, peer: &C::Peer) {
        let entry = self.0.lock().get(peer).cloned();
        if let Some(entry) = entry {
            entry.evict();
        }
    }
}

impl<C: Connect> Shared<C> {
    /// Makes room for one more connection, which counts already.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` if all connections have calls.
    fn admit(&self) -> Result<()> {
        let max = self.config.max_connections;
        let idlest = {
            let entries = self.lock();
            let live = |entry: &&Arc<Entry<C>>| entry.lock().slot.is_live();
            if entries.values().filter(live).count() <= max {
                return Ok(());
            }
            entries
                .values()
                .filter_map(|entry| Some((entry.lock().slot.idle_since()?, entry)))
                .min_by_key(|(since, _)| *since)
                .map(|(_, entry)| Arc::clone(entry))
        };
        let Some(idlest) = idlest else {
            return Err(Status::resource_exhausted(format!(
                "the pool has {max} connections, all in use; end calls or raise `max_connections`"
            ))
            .with_not_accepted());
        };
        idlest.evict();
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<C::Peer, Arc<Entry<C>>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Connect> Clone for Pool<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C: Connect> fmt::Debug for Pool<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("config", &self.0.config)
            .finish_non_exhaustive()
    }
}

/// The channel to one peer, over the connection that the pool has or makes: see [`Pool`].
pub struct PooledChannel<C: Connect> {
    entry: Arc<Entry<C>>,
    /// Gone if the pool is; then no limit is left to keep.
    pool: Weak<Shared<C>>,
}

impl<C: Connect> PooledChannel<C> {
    /// The peer.
    #[must_use]
    pub fn peer(&self) -> &C::Peer {
        &self.entry.peer
    }

    /// Whether there is a connection now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.entry.lock().slot.connection().is_some()
    }
}

impl<C: Connect> Dispatch for PooledChannel<C> {
    async fn dispatch(&self, request: Request) -> Result<Response> {
        let admit = || self.pool.upgrade().map_or(Ok(()), |pool| pool.admit());
        let in_use = self
            .entry
            .connection(
                &request.method,
                request.deadline,
                request.recall.as_ref(),
                admit,
            )
            .await?;
        let mut response = in_use.connection.dispatch(request).await?;
        if response.body.is_stream() {
            response.body = Body::stream(Responses {
                body: response.body,
                _in_use: in_use,
            });
        }
        Ok(response)
    }

    fn codec(&self, service: &'static ServiceDescriptor) -> Codec {
        // Cloned out of the lock: what the connection does to answer is its own business.
        let connection = self.entry.lock().slot.connection().cloned();
        connection.map_or(Codec::Protobuf, |connection| connection.codec(service))
    }
}

impl<C: Connect> Clone for PooledChannel<C> {
    fn clone(&self) -> Self {
        Self {
            entry: Arc::clone(&self.entry),
            pool: Weak::clone(&self.pool),
        }
    }
}

impl<C: Connect> fmt::Debug for PooledChannel<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PooledChannel")
            .field("peer", self.peer())
            .finish_non_exhaustive()
    }
}

/// A response stream, for as long as which the connection is in use.
struct Responses<C: Connect> {
    body: Body,
    _in_use: InUse<C>,
}

impl<C: Connect> Unpin for Responses<C> {}

impl<C: Connect> BodyStream for Responses<C> {
    fn poll_message(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        self.get_mut().body.poll_next(cx)
    }

    fn poll_batch(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Batch>>> {
        self.get_mut().body.poll_batch(cx)
    }

    fn trailers(self: Pin<&mut Self>) -> Metadata {
        self.get_mut().body.take_trailers()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use futures_util::future::join_all;
    use tokio::{
        sync::watch,
        time::{Instant, sleep},
    };

    use super::*;
    use crate::{CallOptions, Code, call::Recall, client::Client, fixture::*};

    const SECOND: Duration = Duration::from_secs(1);

    /// A network of which each peer is a script: what the attempts come to, one after another, and the last again.
    #[derive(Default)]
    struct Net {
        dials: AtomicUsize,
        open: Arc<AtomicUsize>,
        cut: watch::Sender<usize>,
    }

    #[derive(Clone)]
    struct Connection {
        server: EchoServer<Script>,
        cut: watch::Receiver<usize>,
        _open: Arc<Open>,
    }

    struct Open(Arc<AtomicUsize>);

    impl Drop for Open {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }

    impl Dispatch for Connection {
        async fn dispatch(&self, request: Request) -> Result<Response> {
            self.server.dispatch(request).await
        }

        fn codec(&self, service: &'static ServiceDescriptor) -> Codec {
            self.server.codec(service)
        }
    }

    impl Connect for Arc<Net> {
        type Peer = &'static str;
        type Connection = Connection;

        async fn connect(&self, peer: &&'static str) -> Result<Connection> {
            let dial = self.dials.fetch_add(1, Ordering::Relaxed);
            sleep(SECOND).await;
            let steps: Vec<&str> = peer.split(' ').collect();
            match steps[dial.min(steps.len() - 1)] {
                "refuse" => Err(Status::unavailable("refused")),
                "deny" => Err(Status::permission_denied("not you")),
                "hang" => std::future::pending().await,
                "panic" => panic!("connector"),
                _ => {
                    self.open.fetch_add(1, Ordering::Relaxed);
                    let mut cut = self.cut.subscribe();
                    cut.mark_unchanged();
                    Ok(Connection {
                        server: EchoServer::new(Script::default()),
                        cut,
                        _open: Arc::new(Open(Arc::clone(&self.open))),
                    })
                }
            }
        }

        async fn closed(connection: &Connection) -> Status {
            let mut cut = connection.cut.clone();
            cut.changed().await.unwrap();
            Status::unavailable("cut")
        }
    }

    impl Net {
        fn dials(&self) -> usize {
            self.dials.load(Ordering::Relaxed)
        }

        fn open(&self) -> usize {
            self.open.load(Ordering::Relaxed)
        }
    }

    fn pool(config: PoolConfig) -> (Pool<Arc<Net>>, Arc<Net>) {
        let net = Arc::new(Net::default());
        (Pool::with_config(Arc::clone(&net), config), net)
    }

    async fn ask(channel: &PooledChannel<Arc<Net>>) -> Result<String> {
        Client::new(channel.clone()).ask(UNARY, "hello").await
    }

    #[tokio::test(start_paused = true)]
    async fn many_calls_share_one_connection() {
        let (pool, net) = pool(PoolConfig::default());
        let channel = pool.channel("ok");
        assert_eq!((net.dials(), channel.is_connected()), (0, false));
        assert_eq!(channel.codec(echo()), Codec::Protobuf);
        let began = Instant::now();
        let calls = (0..100).map(|_| ask(&channel));
        assert!(join_all(calls).await.iter().all(Result::is_ok));
        ask(&pool.channel("ok")).await.unwrap();
        assert_eq!((net.dials(), net.open(), pool.connections()), (1, 1, 1));
        assert!(began.elapsed() < 2 * SECOND);
        assert_eq!(channel.codec(echo()), Codec::Postcard);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_failure_calls_fail_at_once_and_say_why() {
        let (pool, net) = pool(PoolConfig::default());
        let channel = pool.channel("refuse ok");
        for dials in [1, 1] {
            let status = ask(&channel).await.unwrap_err();
            assert_eq!(status.code(), Code::Unavailable);
            assert!(!status.was_accepted());
            for part in ["\"refuse ok\"", "refused", "the next attempt is made in"] {
                assert!(status.message().contains(part), "{status}");
            }
            assert_eq!(net.dials(), dials);
        }
        sleep(SECOND).await;
        ask(&channel).await.unwrap();
        assert_eq!(net.dials(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_trying_again_does_not_mend_keeps_its_code() {
        let (pool, _) = pool(PoolConfig::default());
        for (peer, code, says) in [
            ("deny", Code::PermissionDenied, "not you"),
            ("hang", Code::Unavailable, "no answer within 5s"),
            ("panic", Code::Unavailable, "broke off"),
        ] {
            let status = ask(&pool.channel(peer)).await.unwrap_err();
            assert_eq!(status.code(), code);
            assert!(status.message().contains(says), "{status}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_waits_for_the_connection_no_longer_than_its_deadline() {
        let (pool, net) = pool(PoolConfig::default());
        let client = Client::new(pool.channel("ok"));
        let hurried = client.with(CallOptions::new().deadline(SECOND / 2));
        let status = hurried.ask(UNARY, "hello").await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert!(status.message().contains("\"ok\""), "{status}");
        // The attempt goes on for the others.
        client.ask(UNARY, "hello").await.unwrap();
        assert_eq!(net.dials(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_wanted_back_does_not_wait_for_the_connection() {
        let (pool, _) = pool(PoolConfig::default());
        let recall = Arc::new(Recall::default());
        let mut request = Request::new(method(UNARY), Codec::Protobuf, Body::empty());
        request.recall = Some(Arc::clone(&recall));
        let channel = pool.channel("hang");
        let (began, call) = (Instant::now(), channel.dispatch(request));
        let (answer, ()) = tokio::join!(call, async {
            sleep(SECOND).await;
            recall.set(true);
        });
        let status = answer.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(!status.was_accepted());
        assert_eq!(began.elapsed(), SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_connection_is_dialled_again() {
        let (pool, net) = pool(PoolConfig::default());
        let channel = pool.channel("ok");
        ask(&channel).await.unwrap();
        sleep(2 * SECOND).await;
        net.cut.send_replace(1);
        sleep(SECOND).await;
        assert_eq!((net.open(), channel.is_connected()), (0, false));
        ask(&channel).await.unwrap();
        assert_eq!((net.dials(), net.open()), (2, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_closed_and_one_in_use_is_not() {
        let (pool, net) = pool(PoolConfig::default());
        let channel = pool.channel("ok");
        let stream = Client::new(channel.clone()).count("1 hang").await.unwrap();
        sleep(1000 * SECOND).await;
        assert_eq!(net.open(), 1);
        drop(stream);
        sleep(700 * SECOND).await;
        assert_eq!((net.open(), pool.connections()), (0, 0));
        ask(&channel).await.unwrap();
        assert_eq!(net.dials(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_connections_is_bounded() {
        let (pool, net) = pool(PoolConfig {
            max_connections: 2,
            ..PoolConfig::default()
        });
        let channels = ["ok a", "ok b", "ok c"].map(|peer| pool.channel(peer));
        for channel in &channels {
            ask(channel).await.unwrap();
        }
        let connected = channels.each_ref().map(PooledChannel::is_connected);
        assert_eq!(connected, [false, true, true]);
        sleep(SECOND).await;
        assert_eq!((net.open(), pool.connections()), (2, 2));

        let [first, second, third] = channels;
        let client = Client::new(second);
        let _busy = client.count("1 hang").await.unwrap();
        let client = Client::new(third);
        let _busy_too = client.count("1 hang").await.unwrap();
        let status = ask(&first).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(status.message().contains("max_connections"), "{status}");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_left_of_a_pool_that_is_dropped() {
        let (pool, net) = pool(PoolConfig::default());
        let channel = pool.channel("ok");
        ask(&channel).await.unwrap();
        drop(pool);
        ask(&channel).await.unwrap();
        assert_eq!((net.dials(), net.open()), (1, 1));
        drop(channel);
        sleep(SECOND).await;
        assert_eq!((net.open(), Arc::strong_count(&net)), (0, 1));
    }
}
