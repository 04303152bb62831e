//! [`Fetch`]: the way of one image to this node, from all who have some of it. What decides what is asked of whom is in `plan`.

use std::{
    collections::BTreeMap,
    error::Error,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    io,
    ops::Range,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use blixard_rpc::{
    Channel, Code, Context, Pool, Result, Status,
    transport::iroh::{CONNECT_TIMEOUT, IDLE_TIMEOUT, IrohConnector, IrohPeer, KEEP_ALIVE},
};
use bytes::Bytes;
use futures_util::StreamExt as _;
use iroh::{
    Endpoint, EndpointAddr,
    endpoint::{ConnectOptions, Connection, QuicTransportConfig, VarInt},
};
use iroh_blobs::{
    Hash,
    api::{Store, remote::GetProgressItem},
    get::{GetError, StreamPair, fsm::AtBlobHeaderNextError, fsm::DecodeError},
    protocol::{ChunkRanges, ChunkRangesExt as _, ERR_LIMIT, ERR_PERMISSION, GetRequest},
};
use tokio::{sync::watch, task::JoinSet, time::timeout};

use super::{
    api::{Images as _, ImagesClient},
    messages::{LocateResponse, Progress, Provider, Source, SourceState},
    plan::{Bits, Has, MAX_IMAGE_BYTES, Pieces, Plan},
    valid::{self, Word, hex},
};
use crate::full::is_full;

/// The most nodes that an image is fetched from at a time.
pub const MAX_SOURCES: usize = 48;
/// How long a fetch goes on while nothing comes from anybody.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How much of the beginning is fetched first, to see what it is.
pub(super) const HEADER_BYTES: u64 = 64 << 10;

/// How this node reaches others.
#[derive(Clone, Debug)]
pub(super) struct Net {
    pub(super) endpoint: Endpoint,
    pool: Pool<IrohConnector>,
}

impl Net {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        let pool = Pool::new(IrohConnector::new(endpoint.clone()));
        Self { endpoint, pool }
    }

    fn me(&self) -> Word {
        *self.endpoint.id().as_bytes()
    }

    fn images(&self, address: &EndpointAddr) -> ImagesClient {
        let channel = self.pool.channel(IrohPeer::from(address.clone()));
        ImagesClient::new(Channel::new(channel))
    }
}

/// What others see of a fetch.
#[derive(Debug)]
pub(super) struct View {
    pub(super) progress: watch::Sender<Progress>,
    here: Mutex<Option<(Pieces, Bits)>>,
}

impl View {
    pub(super) fn new() -> Self {
        Self {
            progress: watch::Sender::new(Progress::default()),
            here: Mutex::new(None),
        }
    }

    /// What is here of the image, as soon as that is known.
    pub(super) fn here(&self) -> Option<(Pieces, Bits)> {
        let here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        here.clone()
    }
}

/// What is known of an image before the most of it has come.
#[derive(Debug)]
pub(super) struct Beginning {
    pub(super) size_bytes: u64,
    pub(super) header: Bytes,
    /// Who alone may fetch it, as somebody said who has it.
    pub(super) readers: Vec<String>,
}

/// The way of one image to this node.
pub(super) struct Fetch {
    net: Net,
    store: Store,
    hash: Hash,
    view: Arc<View>,
    peers: BTreeMap<Word, Peer>,
    tasks: JoinSet<(Word, Event)>,
    readers: Vec<String>,
    started_with: u64,
    size_bytes: u64,
    /// How much there was when something came last.
    gained: u64,
    /// For how long nothing has come. Time in which this process stood still does not count.
    waited: Duration,
    stepped: Instant,
    rate: Rate,
}

/// Somebody who has some of it, or may have.
struct Peer {
    address: EndpointAddr,
    client: ImagesClient,
    state: PeerState,
    received: Arc<AtomicU64>,
    /// Failures since it gave something.
    failures: u32,
    why: Option<Status>,
    /// What it said last.
    said: Option<LocateResponse>,
    /// It is being asked what it has.
    is_asked: bool,
    /// The caller has named it; others are named by those, and may only have begun.
    is_named: bool,
}

impl Peer {
    fn is_live(&self) -> bool {
        matches!(self.state, PeerState::Live(_))
    }

    /// What it has, as far as it said; who says nothing may have it.
    fn has(&self, pieces: Pieces) -> Has {
        let Some(said) = &self.said else {
            return Has::All;
        };
        if said.complete {
            return Has::All;
        }
        let fits = said.size_bytes == pieces.size_bytes && said.piece_bytes == pieces.piece_bytes;
        let bits = Bits::read(&said.pieces, pieces).filter(|_| fits);
        Has::Some(bits.unwrap_or_else(|| Bits::none(pieces)))
    }

    /// It gives nothing to this node; one that only others have named may do so later.
    fn refused(&mut self, why: Status, plan: Option<&mut Plan>, key: &Word) {
        self.why = Some(why);
        self.state = if self.is_named {
            PeerState::Out(SourceState::Refused)
        } else {
            PeerState::Resting(Instant::now() + LONG_REST)
        };
        if let Some(plan) = plan {
            plan.gone(key);
        }
    }

    /// Whether it has both ends.
    fn has_ends(&self) -> bool {
        let Some(said) = &self.said else { return true };
        if said.complete {
            return true;
        }
        if said.size_bytes == 0 || said.size_bytes > MAX_IMAGE_BYTES {
            return false;
        }
        let pieces = Pieces::of(said.size_bytes);
        match self.has(pieces) {
            Has::All => true,
            Has::Some(bits) => bits.has(0) && bits.has(pieces.count() - 1),
        }
    }
}

enum PeerState {
    Joining,
    Live(Connection),
    Resting(Instant),
    Out(SourceState),
}

enum Event {
    Joined(Result<(Connection, Located), Failed>),
    /// Over this connection.
    Ends(usize, Result<(), Failed>),
    Piece(usize, usize, Result<(), Failed>),
    Located(Located),
}

/// What somebody says of itself.
enum Located {
    Here(LocateResponse),
    /// It has no such service, or none that can be reached: whether it has the image is found out by asking for it.
    Silent,
    Refused(Status),
}

enum Failed {
    /// What came was not what was asked for.
    Lied,
    /// It does not have it.
    Missing,
    /// It does not give it to this node, and says why.
    Refused(Status),
    Silent(String),
    /// This node cannot keep it.
    Local(Status),
}

impl Fetch {
    pub(super) fn new(
        net: Net,
        store: Store,
        hash: Word,
        view: Arc<View>,
        providers: Vec<EndpointAddr>,
    ) -> Self {
        let mut fetch = Self {
            net,
            store,
            hash: Hash::from_bytes(hash),
            view,
            peers: BTreeMap::new(),
            tasks: JoinSet::new(),
            readers: Vec::new(),
            started_with: 0,
            size_bytes: 0,
            gained: 0,
            waited: Duration::ZERO,
            stepped: Instant::now(),
            rate: Rate::default(),
        };
        for provider in providers {
            fetch.meet(provider, true);
        }
        fetch
    }

    /// Finds out how long it is, and how it begins: what is here of it already, or what somebody gives.
    pub(super) async fn begin(&mut self) -> Result<Beginning> {
        let mut asked: Option<Word> = None;
        loop {
            let here = self.observe().await?;
            if let Some(size_bytes) = here.validated_size() {
                let header = 0..HEADER_BYTES.min(size_bytes);
                if ChunkRanges::bytes(header.clone()).is_subset(&here.ranges) {
                    if size_bytes > MAX_IMAGE_BYTES {
                        return Err(Status::invalid_argument(format!(
                            "the image has {size_bytes} bytes, and an image at most {MAX_IMAGE_BYTES}"
                        )));
                    }
                    let read = self.store.export_ranges(self.hash, header).concatenate();
                    let header = read.await.map_err(|error| local(&error))?;
                    self.size_bytes = size_bytes;
                    self.started_with = here.total_bytes();
                    return Ok(Beginning {
                        size_bytes,
                        header: header.into(),
                        readers: self.readers.clone(),
                    });
                }
            }
            if asked.is_none() {
                let live = self.peers.iter().find_map(|(key, peer)| match &peer.state {
                    PeerState::Live(connection) if peer.has_ends() => {
                        Some((*key, connection.clone(), Arc::clone(&peer.received)))
                    }
                    _ => None,
                });
                if let Some((key, connection, received)) = live {
                    asked = Some(key);
                    let ends = ChunkRanges::bytes(..HEADER_BYTES) | ChunkRanges::last_chunk();
                    let (store, hash) = (self.store.clone(), self.hash);
                    self.tasks.spawn(async move {
                        let over = connection.stable_id();
                        let got = get(&store, connection, hash, ends, &received).await;
                        (key, Event::Ends(over, got))
                    });
                }
            }
            let ended = self.step(None).await?;
            if ended.is_some() {
                asked = None;
            }
        }
    }

    /// Fetches the rest. It returns when all is here.
    pub(super) async fn run(&mut self) -> Result<()> {
        let pieces = Pieces::of(self.size_bytes);
        let here = self.observe().await?;
        let mut bits = Bits::none(pieces);
        for piece in 0..pieces.count() {
            if ChunkRanges::bytes(pieces.bytes(piece)).is_subset(&here.ranges) {
                bits.add(piece);
            }
        }
        let seed = RandomState::new().build_hasher().finish();
        let mut plan = Plan::new(pieces, bits, seed);
        self.show(pieces, plan.here());
        let now = Instant::now();
        for (key, peer) in &self.peers {
            if matches!(peer.state, PeerState::Live(_)) {
                plan.heard(*key, peer.has(pieces), now);
            }
        }
        // So that what comes from here on is known after a crash.
        let mut is_known = false;
        while !plan.is_done() {
            self.ask(&mut plan, pieces);
            self.step(Some((&mut plan, pieces))).await?;
            if !is_known && self.received() > 0 {
                is_known = true;
                self.store.sync_db().await.map_err(|error| local(&error))?;
            }
        }
        self.tasks.shutdown().await;
        let here = self.observe().await?;
        if !here.is_complete() {
            return Err(Status::internal(
                "an image is not as a whole where its pieces are: get it again",
            ));
        }
        self.say();
        Ok(())
    }

    /// Asks everybody for what they may give.
    fn ask(&mut self, plan: &mut Plan, pieces: Pieces) {
        let now = Instant::now();
        // In turns, so that what few have is not all asked of the first.
        loop {
            let mut asked = false;
            for (key, peer) in &self.peers {
                let PeerState::Live(connection) = &peer.state else {
                    continue;
                };
                let Some(piece) = plan.next(key, now) else {
                    continue;
                };
                asked = true;
                let (store, hash, key) = (self.store.clone(), self.hash, *key);
                let (connection, received) = (connection.clone(), Arc::clone(&peer.received));
                let bytes = pieces.bytes(piece);
                self.tasks.spawn(async move {
                    let over = connection.stable_id();
                    let got = get_piece(&store, connection, hash, bytes, &received).await;
                    (key, Event::Piece(over, piece, got))
                });
            }
            if !asked {
                return;
            }
        }
    }

    /// Waits for what happens next, or for a while. It says whose ends of the image were asked for, if that has ended.
    async fn step(&mut self, mut plan: Option<(&mut Plan, Pieces)>) -> Result<Option<Word>> {
        let happened = timeout(TICK, self.tasks.join_next()).await;
        let mut ended = None;
        if let Ok(Some(Ok((key, event)))) = happened {
            let now = Instant::now();
            match event {
                Event::Joined(Ok((connection, located))) => {
                    if let Some(peer) = self.peers.get_mut(&key) {
                        peer.state = PeerState::Live(connection);
                    }
                    self.located(key, located, plan.as_mut());
                }
                Event::Joined(Err(failed)) => self.failed(key, failed, plan.as_mut())?,
                Event::Located(located) => self.located(key, located, plan.as_mut()),
                Event::Ends(over, got) => {
                    ended = Some(key);
                    match got {
                        Ok(()) => self.gave(key),
                        Err(failed) if self.is_over(&key, over) => {
                            self.failed(key, failed, plan.as_mut())?;
                        }
                        Err(_) => {}
                    }
                }
                Event::Piece(over, piece, got) => {
                    if let Some((plan, pieces)) = plan.as_mut() {
                        if got.is_ok() {
                            plan.came(piece, &key, now);
                            let pieces = *pieces;
                            self.show(pieces, plan.here());
                        } else {
                            plan.failed(piece, &key);
                        }
                    }
                    match got {
                        Ok(()) => self.gave(key),
                        Err(Failed::Missing) if self.misses(&key) => {}
                        Err(failed @ (Failed::Lied | Failed::Local(_))) => {
                            self.failed(key, failed, plan.as_mut())?;
                        }
                        Err(failed) if self.is_over(&key, over) => {
                            self.failed(key, failed, plan.as_mut())?;
                        }
                        Err(_) => {}
                    }
                }
            }
        } else if let Ok(Some(Err(error))) = &happened
            && error.is_panic()
        {
            return Err(Status::internal("what fetches an image has failed"));
        } else if let Ok(None) = happened {
            tokio::time::sleep(TICK).await;
        }
        if self.rate.is_due() {
            self.look();
            self.say();
        }
        self.give_up()?;
        Ok(ended)
    }

    /// Twice a second: asks everybody what they have, and those again who did not answer.
    fn look(&mut self) {
        let now = Instant::now();
        let keys: Vec<Word> = self.peers.keys().copied().collect();
        for key in keys {
            let Some(peer) = self.peers.get_mut(&key) else {
                continue;
            };
            match &peer.state {
                PeerState::Live(_) if !peer.is_asked => {
                    peer.is_asked = true;
                    let asking = locate(self.net.clone(), peer.client.clone(), self.hash);
                    self.tasks
                        .spawn(async move { (key, Event::Located(asking.await)) });
                }
                PeerState::Resting(until) if *until <= now => self.join(key),
                _ => {}
            }
        }
    }

    /// Somebody may have some of it.
    fn meet(&mut self, address: EndpointAddr, is_named: bool) {
        let key = *address.id.as_bytes();
        if key == self.net.me() || self.peers.len() >= MAX_SOURCES || self.peers.contains_key(&key)
        {
            return;
        }
        let peer = Peer {
            client: self.net.images(&address),
            address,
            state: PeerState::Joining,
            received: Arc::default(),
            failures: 0,
            why: None,
            said: None,
            is_asked: false,
            is_named,
        };
        self.peers.insert(key, peer);
        self.join(key);
    }

    fn join(&mut self, key: Word) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        peer.state = PeerState::Joining;
        let (net, client, hash) = (self.net.clone(), peer.client.clone(), self.hash);
        let address = peer.address.clone();
        self.tasks.spawn(async move {
            let located = locate(net.clone(), client, hash);
            let options = ConnectOptions::new().with_transport_config(windows());
            let dialling = async {
                let connecting = net
                    .endpoint
                    .connect_with_opts(address, iroh_blobs::ALPN, options);
                let connecting = connecting.await.map_err(|error| error.to_string())?;
                connecting.await.map_err(|error| error.to_string())
            };
            let dialled = timeout(CONNECT_TIMEOUT, dialling);
            let (located, dialled) = tokio::join!(located, dialled);
            let dialled = match dialled {
                Ok(Ok(connection)) => Ok((connection, located)),
                // Who refuses says why, even where nothing can be fetched.
                failed => Err(match (located, failed) {
                    (Located::Refused(status), _) => Failed::Refused(status),
                    (_, Ok(Err(why))) => Failed::Silent(why),
                    _ => Failed::Silent("it does not answer".into()),
                }),
            };
            (key, Event::Joined(dialled))
        });
    }

    fn located(&mut self, key: Word, located: Located, giving: Option<&mut (&mut Plan, Pieces)>) {
        let now = Instant::now();
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        peer.is_asked = false;
        if !matches!(peer.state, PeerState::Live(_)) {
            return;
        }
        match located {
            Located::Here(mut said) => {
                let readers = std::mem::take(&mut said.readers);
                let others = std::mem::take(&mut said.others);
                peer.said = Some(said);
                if let Some((plan, pieces)) = giving {
                    plan.heard(key, peer.has(*pieces), now);
                }
                if self.readers.is_empty() {
                    self.readers = valid::readers(readers).unwrap_or_default();
                }
                for other in others.iter().take(MAX_SOURCES) {
                    if let Ok(other) = valid::address(other) {
                        self.meet(other, false);
                    }
                }
            }
            // As it was said before.
            Located::Silent => {
                if let Some((plan, pieces)) = giving
                    && !plan.knows(&key)
                {
                    plan.heard(key, peer.has(*pieces), now);
                }
            }
            Located::Refused(status) => peer.refused(status, giving.map(|it| &mut *it.0), &key),
        }
    }

    /// Whether this is its connection now: what becomes of those before counts for nothing.
    fn is_over(&self, key: &Word, connection: usize) -> bool {
        self.peers.get(key).is_some_and(
            |peer| matches!(&peer.state, PeerState::Live(now) if now.stable_id() == connection),
        )
    }

    /// Somebody has not a piece that it said it had: it says anew what it has, unless that comes too often.
    fn misses(&mut self, key: &Word) -> bool {
        let Some(peer) = self.peers.get_mut(key) else {
            return false;
        };
        peer.failures += 1;
        peer.failures < MAX_MISSES && peer.said.as_ref().is_some_and(|said| !said.complete)
    }

    fn gave(&mut self, key: Word) {
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.failures = 0;
            peer.why = None;
        }
    }

    fn failed(
        &mut self,
        key: Word,
        failed: Failed,
        giving: Option<&mut (&mut Plan, Pieces)>,
    ) -> Result<()> {
        let Some(peer) = self.peers.get_mut(&key) else {
            return Ok(());
        };
        let (state, why) = match failed {
            Failed::Local(status) => return Err(status),
            Failed::Lied => {
                tracing::warn!(peer = hex(&key), hash = %self.hash, "what a node gave is not the image: it is asked no more");
                let why = Status::data_loss("what it gave was not what was asked for");
                (PeerState::Out(SourceState::Lied), why)
            }
            Failed::Refused(why) => {
                peer.refused(why, giving.map(|it| &mut *it.0), &key);
                return Ok(());
            }
            Failed::Missing | Failed::Silent(_) if matches!(peer.state, PeerState::Out(_)) => {
                return Ok(());
            }
            Failed::Missing | Failed::Silent(_) => {
                let why = match failed {
                    Failed::Silent(why) => Status::unavailable(why),
                    _ => Status::not_found("it does not have the image, or this part of it"),
                };
                peer.failures += 1;
                let rest = REST * 2_u32.pow(peer.failures.min(5) - 1);
                (PeerState::Resting(Instant::now() + rest), why)
            }
        };
        peer.state = state;
        peer.why = Some(why);
        if let Some((plan, _)) = giving {
            plan.gone(&key);
        }
        Ok(())
    }

    /// Nobody can give it, or nobody has given anything for long.
    fn give_up(&mut self) -> Result<()> {
        let received = self.received();
        let elapsed = std::mem::replace(&mut self.stepped, Instant::now()).elapsed();
        self.waited += elapsed.min(STEP);
        if received > self.gained {
            self.gained = received;
            self.waited = Duration::ZERO;
        }
        // Those that others have named do not count: they have it from somebody as well.
        let mut named = self.peers.values().filter(|peer| peer.is_named);
        let all_out = named.all(|peer| matches!(peer.state, PeerState::Out(_)))
            && !self.peers.values().any(Peer::is_live);
        if !all_out && self.waited < PATIENCE {
            return Ok(());
        }
        let whys = self.peers.iter().filter_map(|(key, peer)| {
            let why = peer.why.as_ref()?;
            Some(format!("{}: {}", &hex(key)[..10], why.message()))
        });
        let whys: Vec<String> = whys.take(4).collect();
        let whys = if whys.is_empty() {
            String::new()
        } else {
            format!(" ({})", whys.join("; "))
        };
        let kept = self.started_with + received;
        let asked = self.peers.len();
        if asked == 0 {
            return Err(Status::invalid_argument(
                "nobody is named who has the image: name a provider beside this node",
            ));
        }
        let all_are = |code: Code| {
            let mut peers = self.peers.values().filter(|peer| peer.is_named);
            all_out && peers.all(|peer| peer.why.as_ref().is_some_and(|why| why.code() == code))
        };
        Err(if all_are(Code::NotFound) {
            Status::not_found(format!("none of {asked} nodes has the image{whys}"))
        } else if all_are(Code::PermissionDenied) {
            Status::permission_denied(format!(
                "none of {asked} nodes gives the image to this one: have them give its key the role{whys}"
            ))
        } else {
            Status::unavailable(format!(
                "none of {asked} nodes gives the image any more{whys}; {kept} bytes are kept, and the same call goes on from there"
            ))
        })
    }

    fn received(&self) -> u64 {
        let of = |peer: &Peer| peer.received.load(Ordering::Relaxed);
        self.peers.values().map(of).sum()
    }

    fn show(&self, pieces: Pieces, here: &Bits) {
        let mut shown = self
            .view
            .here
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *shown = Some((pieces, here.clone()));
    }

    fn say(&mut self) {
        let received = self.received();
        let bytes_per_second = self.rate.now(received);
        let sources = self.peers.iter().map(|(key, peer)| Source {
            key: hex(key),
            received_bytes: peer.received.load(Ordering::Relaxed),
            state: match &peer.state {
                PeerState::Joining => SourceState::Unspecified,
                PeerState::Live(_) => SourceState::Giving,
                PeerState::Resting(_) => SourceState::Silent,
                PeerState::Out(state) => *state,
            },
            message: match &peer.why {
                Some(why) => why.message().to_owned(),
                None => String::new(),
            },
        });
        let done = self.started_with + received;
        self.view.progress.send_replace(Progress {
            done_bytes: if self.size_bytes == 0 {
                0
            } else {
                done.min(self.size_bytes)
            },
            total_bytes: self.size_bytes,
            bytes_per_second,
            sources: sources.collect(),
        });
    }

    async fn observe(&self) -> Result<iroh_blobs::api::blobs::Bitfield> {
        let observed = self.store.observe(self.hash).await;
        observed.map_err(|error| local(&error))
    }
}

/// How fast something goes, and when it is time to say so.
#[derive(Debug)]
pub(super) struct Rate {
    at: Instant,
    bytes: u64,
    per_second: f64,
}

impl Default for Rate {
    fn default() -> Self {
        Self {
            at: Instant::now(),
            bytes: 0,
            per_second: 0.0,
        }
    }
}

impl Rate {
    pub(super) fn is_due(&self) -> bool {
        self.at.elapsed() >= SAY_EVERY
    }

    /// So many bytes in all by now.
    pub(super) fn now(&mut self, bytes: u64) -> u64 {
        let elapsed = self.at.elapsed().as_secs_f64();
        if elapsed > 0.0 {
            let now = bytes.saturating_sub(self.bytes) as f64 / elapsed;
            self.per_second = if self.per_second == 0.0 {
                now
            } else {
                self.per_second.mul_add(0.7, now * 0.3)
            };
        }
        self.at = Instant::now();
        self.bytes = bytes;
        self.per_second as u64
    }
}

async fn locate(net: Net, client: ImagesClient, hash: Hash) -> Located {
    let me: Provider = valid::provider(&net.endpoint.addr());
    let cx = Context::with_deadline(LOCATE_PATIENCE);
    match client.locate(&cx, hash.to_hex(), Some(me)).await {
        Ok(said) => Located::Here(said),
        Err(status) if matches!(status.code(), Code::PermissionDenied | Code::NotFound) => {
            Located::Refused(status)
        }
        Err(_) => Located::Silent,
    }
}

/// Fetches what is missing of these bytes.
async fn get_piece(
    store: &Store,
    connection: Connection,
    hash: Hash,
    bytes: Range<u64>,
    received: &AtomicU64,
) -> Result<(), Failed> {
    let here = store.observe(hash).await;
    let here = here.map_err(|error| Failed::Local(local(&error)))?;
    let missing = ChunkRanges::bytes(bytes) - here.ranges;
    if missing.is_empty() {
        return Ok(());
    }
    get(store, connection, hash, missing, received).await
}

async fn get(
    store: &Store,
    connection: Connection,
    hash: Hash,
    ranges: ChunkRanges,
    received: &AtomicU64,
) -> Result<(), Failed> {
    let request = GetRequest::builder().root(ranges).build(hash);
    // Opened here: the store would take a connection that is lost for a failure of its own.
    let (send, receive) = match timeout(STALL, connection.open_bi()).await {
        Ok(Ok(pair)) => pair,
        Ok(Err(error)) => return Err(Failed::Silent(error.to_string())),
        Err(_) => return Err(Failed::Silent("it lets nothing more be asked".into())),
    };
    let pair = StreamPair::new(connection.stable_id() as u64, receive, send);
    let mut items = pin!(store.remote().execute_get(pair, request).stream());
    let mut seen = 0;
    loop {
        match timeout(STALL, items.next()).await {
            Ok(Some(GetProgressItem::Progress(bytes))) => {
                received.fetch_add(bytes.saturating_sub(seen), Ordering::Relaxed);
                seen = seen.max(bytes);
            }
            Ok(Some(GetProgressItem::Done(_))) => return Ok(()),
            Ok(Some(GetProgressItem::Error(error))) => return Err(failed(&error)),
            Ok(None) => return Err(Failed::Silent("the connection was cut".into())),
            Err(_) => {
                return Err(Failed::Silent(format!("it gave nothing for {STALL:?}")));
            }
        }
    }
}

fn failed(error: &GetError) -> Failed {
    match error {
        GetError::Decode { source, .. } => match source {
            DecodeError::ParentHashMismatch { .. } | DecodeError::LeafHashMismatch { .. } => {
                return Failed::Lied;
            }
            DecodeError::ChunkNotFound { .. }
            | DecodeError::ParentNotFound { .. }
            | DecodeError::LeafNotFound { .. } => return Failed::Missing,
            _ => {}
        },
        GetError::AtBlobHeaderNext {
            source: AtBlobHeaderNextError::NotFound { .. },
            ..
        } => return Failed::Missing,
        GetError::LocalFailure { .. } | GetError::IrpcSend { .. } => {
            return Failed::Local(local(error));
        }
        _ => {}
    }
    match error.iroh_error_code() {
        Some(ERR_PERMISSION) => Failed::Refused(Status::permission_denied(
            "it does not give the image to this node",
        )),
        Some(ERR_LIMIT) => Failed::Silent("it has too much to do".into()),
        _ => Failed::Silent(format!("{error:#}")),
    }
}

/// What the store of this node says.
pub(super) fn local(error: &(dyn Error + 'static)) -> Status {
    let mut next = Some(error);
    let mut text = String::new();
    while let Some(error) = next {
        let full = error.downcast_ref::<io::Error>().is_some_and(is_full);
        let said = error.to_string();
        // Some of what is passed on has been made text before.
        if full || FULL.iter().any(|code| said.contains(code)) {
            return Status::resource_exhausted(format!(
                "the disk is full: {said}; make room, nothing was changed"
            ));
        }
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = error.source();
    }
    Status::unavailable(format!("the contents of images cannot be kept{text}"))
}

/// Windows for a path that is fast and long: what a connection of calls allows would be its limit. A stream has so little that even if
/// every second packet of it is lost, there are less than the 1024 gaps for which iroh's QUIC closes a connection.
fn windows() -> QuicTransportConfig {
    QuicTransportConfig::builder()
        .stream_receive_window(VarInt::from_u32(2 << 20))
        .receive_window(VarInt::from_u32(32 << 20))
        .keep_alive_interval(KEEP_ALIVE)
        .max_idle_timeout(Some(
            IDLE_TIMEOUT
                .try_into()
                .expect("seconds fit QUIC's time-out"),
        ))
        .build()
}

/// Linux's numbers for a disk or a quota that is full, and a file that may get no longer.
const FULL: [&str; 3] = ["os error 28", "os error 122", "os error 27"];
const TICK: Duration = Duration::from_millis(100);
const SAY_EVERY: Duration = Duration::from_millis(500);
/// How long somebody may give nothing of what it was asked for.
const STALL: Duration = Duration::from_secs(8);
/// A step that took longer was none of waiting.
const STEP: Duration = Duration::from_secs(1);
/// How often somebody may not have what it said before it rests.
const MAX_MISSES: u32 = 8;
/// How long somebody rests who did not answer; longer each time.
const REST: Duration = Duration::from_millis(500);
const LONG_REST: Duration = Duration::from_secs(4);
const LOCATE_PATIENCE: Duration = Duration::from_secs(5);
