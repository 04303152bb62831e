//! Members in this process: the engine openraft with its log in memory, over real endpoints on loopback.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU16, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use blixard_raft_cluster::{kv::Kv, layout::Layout, node};
use blixard_raft_transport::{
    Appends, Ask, Engine, Event, MemberId, RaftMessage, ReceivedSnapshot, SendError, Transport,
    TransportConfig,
    openraft::{
        Carry, Clients, Durability, OpenRaft, SnapshotFile, StateStore, StoreOptions, Types, open,
    },
};
use blixard_rpc::{
    Result, Router, Streaming,
    runner::{Mode, Running, ServiceRunner},
    transport::{
        grpc::{GrpcServer, ServerTls},
        iroh::{Endpoint, IrohServer},
    },
};
use openraft::{BasicNode, Config, Raft, SnapshotPolicy, async_runtime::watch::WatchReceiver as _};
use tokio::{net::TcpListener, sync::mpsc};

use crate::{Outcome, link, report::millis};

pub(crate) type Consensus = Raft<Types<Kv>, StateStore<Kv>>;

/// A way to reach the others, and to be reached; what is served is given later.
pub(crate) struct Site {
    pub(crate) transport: Transport,
    pub(crate) endpoint: Endpoint,
    listener: TcpListener,
    tls: ServerTls,
}

/// Three members that are known to each other.
pub(crate) struct Sites {
    /// As the members know each other.
    pub(crate) layout: Layout,
    /// Where they listen.
    inside: Layout,
    _folder: Folder,
}

impl Sites {
    pub(crate) fn new() -> Outcome<Self> {
        let folder = Folder::new();
        let layout = Layout::create(&folder.0, 3)?;
        Ok(Self {
            inside: layout.clone(),
            layout,
            _folder: folder,
        })
    }

    /// Members that reach each other over the link that all of this is in.
    pub(crate) fn over_link() -> Outcome<Self> {
        // Ports are those of a cluster each.
        static NEXT: AtomicU16 = AtomicU16::new(7000);
        let first = NEXT.fetch_add(10, Ordering::Relaxed);
        let at = |port| SocketAddr::from((link::FAR, first + port));
        let folder = Folder::new();
        let layout =
            Layout::create_at(&folder.0, &[0, 1, 2].map(|it| (at(2 * it), at(2 * it + 1))))?;
        let mut inside = layout.clone();
        for member in &mut inside.members {
            member.iroh.set_ip(link::NEAR);
            member.grpc.set_ip(link::NEAR);
        }
        Ok(Self {
            layout,
            inside,
            _folder: folder,
        })
    }

    pub(crate) async fn site(
        &self,
        id: u64,
        mode: Mode,
        set: impl FnOnce(&mut TransportConfig),
    ) -> Outcome<Site> {
        let layout = &self.layout;
        let endpoint = node::endpoint(&self.inside, id).await?;
        let network = node::network(layout, id, &endpoint)?;
        let mut config = TransportConfig::new("bench", id);
        config.mode = mode;
        config.snapshot.directory = layout.own(id).join("incoming");
        // The default is there to spare a link; loopback needs no mercy.
        config.snapshot.bytes_per_second = None;
        set(&mut config);
        let transport = Transport::new(config, network)?;
        node::introduce(layout, &transport)?;
        Ok(Site {
            transport,
            endpoint,
            listener: TcpListener::bind(self.inside.member(id)?.grpc).await?,
            tls: node::server_tls(layout, id)?,
        })
    }
}

impl Site {
    pub(crate) fn serve<E: Engine>(self, engine: Arc<E>) -> Outcome<Running> {
        let router = Router::new().add(self.transport.server(engine));
        Ok(ServiceRunner::new(router, Mode::Dual)
            .iroh(self.endpoint, IrohServer::new)
            .grpc(self.listener, |router| {
                GrpcServer::new(router).tls(self.tls)
            })
            .start()?)
    }
}

/// Three members with an engine, one of which leads.
pub(crate) struct Cluster {
    pub(crate) members: Vec<Voter>,
    _sites: Sites,
}

/// One of them.
pub(crate) struct Voter {
    pub(crate) raft: Consensus,
    pub(crate) transport: Transport,
    /// How long heartbeats took that this one sent.
    pub(crate) beats: Beats,
    _running: Running,
}

impl Cluster {
    /// Starts it with these settings of the transport.
    pub(crate) async fn start(
        mode: Mode,
        election: Duration,
        set: impl Fn(&mut TransportConfig),
    ) -> Outcome<Self> {
        Self::start_at(Sites::new()?, mode, election, set).await
    }

    /// The same at these sites.
    pub(crate) async fn start_at(
        sites: Sites,
        mode: Mode,
        election: Duration,
        set: impl Fn(&mut TransportConfig),
    ) -> Outcome<Self> {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let config = Config {
            heartbeat_interval: millis(election / 3),
            election_timeout_min: millis(election),
            election_timeout_max: millis(election * 2),
            enable_pre_vote: Some(true),
            snapshot_policy: SnapshotPolicy::Never,
            ..Config::default()
        };
        let config = Arc::new(config.validate()?);
        let mut members = Vec::new();
        for id in 1..=3 {
            let site = sites
                .site(id, mode, |config| {
                    config.election_timeout = election;
                    set(config);
                })
                .await?;
            let transport = site.transport.clone();
            let options = StoreOptions::default().durability(Durability::Memory);
            let (log, state) = open(sites.layout.own(id), Kv, &options)?;
            let beats = Beats::default();
            let timed = Timed {
                inner: transport.clone(),
                beats: beats.clone(),
            };
            let clients = Clients::over(id, timed);
            let raft = Consensus::new(id, Arc::clone(&config), clients, log, state).await?;
            let inbound = OpenRaft::new();
            inbound.set(raft.clone());
            members.push(Voter {
                raft,
                transport,
                beats,
                _running: site.serve(Arc::new(Beside(inbound)))?,
            });
        }
        let nodes: BTreeMap<u64, BasicNode> =
            (1..=3).map(|id| (id, BasicNode::default())).collect();
        members[0].raft.initialize(nodes).await?;
        let cluster = Self {
            members,
            _sites: sites,
        };
        cluster.leader().await?;
        Ok(cluster)
    }

    /// Who leads, when a majority has said so.
    pub(crate) async fn leader(&self) -> Outcome<&Voter> {
        loop {
            let leads = self.members.iter().find(|member| {
                let metrics = member.raft.metrics().borrow_watched().clone();
                metrics.current_leader == Some(metrics.id) && metrics.last_quorum_acked.is_some()
            });
            if let Some(leads) = leads {
                return Ok(leads);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The highest term that any of them knows.
    pub(crate) fn term(&self) -> u64 {
        let terms = self
            .members
            .iter()
            .map(|member| member.raft.metrics().borrow_watched().current_term);
        terms.max().unwrap_or_default()
    }

    pub(crate) async fn stop(self) {
        for member in &self.members {
            let _ = member.raft.shutdown().await;
        }
    }
}

/// The engine, but that snapshots of the benchmark are dropped when they have come whole.
struct Beside(OpenRaft<Types<Kv>, StateStore<Kv>>);

/// What the names of the benchmark's snapshots begin with.
pub(crate) const BESIDE: &str = "beside";

impl Engine for Beside {
    async fn ask(&self, from: MemberId, ask: Ask, request: RaftMessage) -> Result<RaftMessage> {
        self.0.ask(from, ask, request).await
    }

    async fn append(
        &self,
        from: MemberId,
        requests: Streaming<RaftMessage>,
    ) -> Result<Streaming<RaftMessage>> {
        self.0.append(from, requests).await
    }

    async fn snapshot(&self, from: MemberId, snapshot: ReceivedSnapshot) -> Result<RaftMessage> {
        if snapshot.id().starts_with(BESIDE) {
            return Ok(RaftMessage::default());
        }
        self.0.snapshot(from, snapshot).await
    }

    fn event(&self, event: Event) {
        self.0.event(event);
    }
}

/// How long heartbeats took, in milliseconds.
#[derive(Clone, Default)]
pub(crate) struct Beats(Arc<Mutex<Vec<f64>>>);

impl Beats {
    fn note(&self, took: f64) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(took);
    }

    /// Those since the last time.
    pub(crate) fn take(&self) -> Vec<f64> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The transport, and a watch on its heartbeats.
#[derive(Clone)]
struct Timed {
    inner: Transport,
    beats: Beats,
}

impl Carry for Timed {
    type Appends = Appends;

    async fn ask(
        &self,
        to: MemberId,
        ask: Ask,
        message: RaftMessage,
        within: Duration,
    ) -> Result<RaftMessage, SendError> {
        let began = Instant::now();
        let answer = Carry::ask(&self.inner, to, ask, message, within).await;
        if ask == Ask::Heartbeat {
            self.beats.note(millis(began.elapsed()));
        }
        answer
    }

    async fn append(
        &self,
        to: MemberId,
        requests: mpsc::Receiver<RaftMessage>,
    ) -> Result<Appends, SendError> {
        Carry::append(&self.inner, to, requests).await
    }

    async fn snapshot(
        &self,
        to: MemberId,
        head: RaftMessage,
        snapshot: SnapshotFile,
    ) -> Result<RaftMessage, SendError> {
        Carry::snapshot(&self.inner, to, head, snapshot).await
    }
}

/// A folder that goes with the benchmark.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("raft-bench-{}-{next}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
