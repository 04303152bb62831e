//! One node: its files, its engine, its services, in a process of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fmt,
    path::Path,
    sync::Arc,
    time::Duration,
};

use blixard_raft_transport::{
    Inbound, Member, Network, Transport, TransportConfig,
    openraft::{Clients, Cluster, OpenRaft, StateReader, StateStore, StoreOptions, Types, open},
};
use blixard_rpc::{
    Result, Router, Status,
    runner::{Mode, ServiceRunner},
    transport::{
        grpc::{ClientTls, GrpcConnector, GrpcPeer, GrpcServer, ServerTls},
        iroh::{ALPN, Endpoint, IrohConnector, IrohServer, presets, transport_config},
    },
};
use blixard_services::raft::RaftServer;
use openraft::{
    BasicNode, Config, Raft, ReadPolicy, SnapshotPolicy,
    async_runtime::watch::WatchReceiver,
    errors::{ClientWriteError, RaftError},
};
use tokio::net::TcpListener;

use crate::{
    api::{ClassStatus, Found, KvError, Node, NodeServer, NodeStatus, PeerStatus},
    kv::{Command, Kv},
    layout::Layout,
    process::READY,
};

type Engine = Raft<Types<Kv>, StateStore<Kv>>;

/// What a member knows of the cluster.
pub type Members = Cluster<Types<Kv>, StateStore<Kv>>;

/// Why a node cannot run.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Who a member is over iroh, where the others look for it.
///
/// # Errors
/// If its key cannot be read, or its address is taken.
pub async fn endpoint(layout: &Layout, id: u64) -> Result<Endpoint, Failure> {
    let endpoint = Endpoint::builder(presets::Minimal)
        .secret_key(layout.secret(id)?)
        .alpns(vec![ALPN.to_vec()])
        .clear_ip_transports()
        .bind_addr(layout.member(id)?.iroh)?
        .transport_config(transport_config());
    Ok(endpoint.bind().await?)
}

/// How a member dials the others: by its key over iroh, and with its certificate over gRPC.
///
/// # Errors
/// If its certificate cannot be read.
pub fn network(layout: &Layout, id: u64, endpoint: &Endpoint) -> Result<Network, Failure> {
    let [authority, certificate, key] = layout.certificates(id)?;
    let tls = ClientTls::mutual(&authority, &certificate, &key)?;
    Ok(Network::new()
        .iroh(IrohConnector::new(endpoint.clone()))
        .grpc(GrpcConnector::new().tls(tls)))
}

/// Who a member is over gRPC, and that it asks the same of others.
///
/// # Errors
/// If its certificate cannot be read.
pub fn server_tls(layout: &Layout, id: u64) -> Result<ServerTls, Failure> {
    let [authority, certificate, key] = layout.certificates(id)?;
    Ok(ServerTls::mutual(&certificate, &key, &authority)?)
}

/// Tells a transport who belongs to the cluster, and where they are.
///
/// # Errors
/// If two of them could be taken for each other.
pub fn introduce(layout: &Layout, transport: &Transport) -> Result<(), Failure> {
    for member in &layout.members {
        let grpc: GrpcPeer = format!("https://{}", member.grpc).parse()?;
        transport.set_member(
            Member::new(member.id)
                .iroh(member.peer())
                .grpc(grpc)
                .certificate_name(member.name()),
        )?;
    }
    Ok(())
}

/// Runs a node until the process ends.
///
/// # Errors
/// If its files or ports cannot be opened.
pub async fn run(folder: &Path, id: u64) -> Result<(), Failure> {
    let layout = Layout::open(folder)?;
    let me = layout.member(id)?;

    let endpoint = endpoint(&layout, id).await?;
    let network = network(&layout, id, &endpoint)?;

    // The transport, and who belongs to the cluster.
    let mut config = TransportConfig::new(CLUSTER, id);
    config.election_timeout = ELECTION_TIMEOUT;
    config.snapshot.directory = layout.own(id).join("incoming");
    let transport = Transport::new(config, network)?;
    introduce(&layout, &transport)?;

    let addresses = layout.members.iter();
    let addresses = addresses.map(|it| (it.id, it.iroh.to_string())).collect();
    let replica = Replica::open(&transport, &layout.own(id), addresses).await?;

    // Both are served all the time; what this node sends over is the transport's mode.
    let router = Router::new()
        .add(replica.raft_server())
        .add(NodeServer::new(replica));
    let tls = server_tls(&layout, id)?;
    let listener = TcpListener::bind(me.grpc).await?;
    let _running = ServiceRunner::new(router, Mode::Dual)
        .iroh(endpoint, IrohServer::new)
        .grpc(listener, |router| GrpcServer::new(router).tls(tls))
        .start()?;
    println!("{READY}");
    std::future::pending().await
}

/// A member's part of the key-value store: its log, its state, and what is asked of them.
pub struct Replica {
    raft: Engine,
    inbound: Arc<OpenRaft<Types<Kv>, StateStore<Kv>>>,
    reader: StateReader<Kv>,
    transport: Transport,
    /// Where members are, for people.
    addresses: BTreeMap<u64, String>,
}

impl Replica {
    /// Opens the files in this folder, or begins them; the engine speaks with the others by this transport.
    ///
    /// # Errors
    /// If the files cannot be opened.
    pub async fn open(
        transport: &Transport,
        folder: &Path,
        addresses: BTreeMap<u64, String>,
    ) -> Result<Self, Failure> {
        let (log, state) = open(folder, Kv, &StoreOptions::default())?;
        let reader = state.reader();
        let TransportConfig {
            id,
            cluster,
            election_timeout,
            ..
        } = transport.config();
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let config = Config {
            cluster_name: cluster.clone(),
            heartbeat_interval: milliseconds(*election_timeout / 3),
            election_timeout_min: milliseconds(*election_timeout),
            election_timeout_max: milliseconds(*election_timeout * 2),
            enable_pre_vote: Some(true),
            snapshot_policy: SnapshotPolicy::LogsSinceLast(20_000),
            max_in_snapshot_log_to_keep: 5_000,
            ..Config::default()
        };
        let clients = Clients::new(transport.clone());
        let raft = Engine::new(*id, Arc::new(config.validate()?), clients, log, state).await?;
        let inbound = OpenRaft::new();
        inbound.set(raft.clone());
        Ok(Self {
            raft,
            inbound: Arc::new(inbound),
            reader,
            transport: transport.clone(),
            addresses,
        })
    }

    /// What the other members call.
    #[must_use]
    pub fn raft_server(&self) -> RaftServer<Inbound<OpenRaft<Types<Kv>, StateStore<Kv>>>> {
        self.transport.server(Arc::clone(&self.inbound))
    }

    /// What it knows of the cluster.
    #[must_use]
    pub fn cluster(&self) -> Members {
        Cluster::new(self.raft.clone(), self.transport.clone())
    }

    /// A member as the engine is told of it.
    fn told(&self, id: u64) -> Result<BasicNode, KvError> {
        let address = self.addresses.get(&id);
        let address = address.ok_or_else(|| failed(format!("there is no member {id}")))?;
        Ok(BasicNode::new(address))
    }
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica")
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}

impl Node for Replica {
    async fn put(&self, key: String, value: String) -> Result<u64, KvError> {
        match self.raft.client_write(Command::Put { key, value }).await {
            Ok(done) => Ok(done.log_id.index),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(to))) => {
                Err(KvError::NotLeader {
                    leader: to.leader_id,
                })
            }
            Err(error) => Err(KvError::Unclear {
                reason: error.to_string(),
            }),
        }
    }

    async fn get(&self, key: String) -> Result<Found, KvError> {
        // A majority says that this one still leads; then its own state is as good as any.
        self.raft
            .ensure_linearizable(ReadPolicy::ReadIndex)
            .await
            .map_err(|error| KvError::NotLeader {
                leader: error.forward_to_leader().and_then(|to| to.leader_id),
            })?;
        self.local(key).await
    }

    async fn local(&self, key: String) -> Result<Found, KvError> {
        let value = self.reader.view().and_then(|view| view.get(key.as_bytes()));
        let value = value.map_err(failed)?;
        Ok(Found {
            value: value.map(|it| String::from_utf8_lossy(&it).into_owned()),
        })
    }

    async fn status(&self) -> Result<NodeStatus, KvError> {
        let metrics = self.raft.metrics().borrow_watched().clone();
        let matched = |id: u64| {
            let replication = metrics.replication.as_ref()?;
            replication.get(&id)?.as_ref().map(|it| it.index)
        };
        let peers = self.transport.status().into_iter().map(|peer| PeerStatus {
            id: peer.id,
            matched: matched(peer.id),
            over: peer
                .route
                .map_or_else(String::new, |it| it.name().to_owned()),
            classes: peer
                .classes
                .iter()
                .map(|it| ClassStatus {
                    class: it.class.name().to_owned(),
                    health: it.standing.name().to_owned(),
                    round_trip_micros: it
                        .round_trip
                        .map(|it| u64::try_from(it.as_micros()).unwrap_or(u64::MAX)),
                })
                .collect(),
        });
        Ok(NodeStatus {
            id: metrics.id,
            role: format!("{:?}", metrics.state).to_lowercase(),
            term: metrics.current_term,
            leader: metrics.current_leader,
            voters: metrics.membership_config.voter_ids().collect(),
            last: metrics.last_log_index,
            committed: metrics.local_committed.map(|it| it.index),
            applied: metrics.last_applied.map(|it| it.index),
            snapshot: metrics.snapshot.map(|it| it.index),
            mode: self.transport.mode().name().to_owned(),
            peers: peers.collect(),
        })
    }

    async fn begin(&self, members: Vec<u64>) -> Result<(), KvError> {
        let nodes = members.into_iter().map(|id| Ok((id, self.told(id)?)));
        let nodes: BTreeMap<_, _> = nodes.collect::<Result<_, KvError>>()?;
        self.raft.initialize(nodes).await.map_err(failed)
    }

    async fn voters(&self, members: Vec<u64>) -> Result<(), KvError> {
        let members: BTreeSet<u64> = members.into_iter().collect();
        let metrics = self.raft.metrics().borrow_watched().clone();
        let known: BTreeSet<u64> = metrics.membership_config.nodes().map(|it| *it.0).collect();
        for new in members.difference(&known) {
            // Before it votes it has what the others have.
            self.raft
                .add_learner(*new, self.told(*new)?, true)
                .await
                .map_err(failed)?;
        }
        self.raft
            .change_membership(members, false)
            .await
            .map_err(failed)?;
        Ok(())
    }

    async fn transfer(&self, to: u64) -> Result<(), KvError> {
        self.raft
            .trigger()
            .transfer_leader(to)
            .await
            .map_err(failed)
    }

    async fn snapshot(&self) -> Result<(), KvError> {
        self.raft.trigger().snapshot().await.map_err(failed)
    }

    async fn carry(&self, mode: String) -> Result<(), KvError> {
        let mode = [Mode::Iroh, Mode::Dual, Mode::Grpc]
            .into_iter()
            .find(|it| it.name() == mode)
            .ok_or_else(|| Status::invalid_argument(format!("{mode:?} is no mode")))?;
        self.transport.set_mode(mode).map_err(KvError::Other)
    }
}

fn failed(error: impl fmt::Display) -> KvError {
    KvError::Other(Status::internal(error.to_string()))
}

const CLUSTER: &str = "example";
/// The shortest election timeout; the longest is twice that. A vote is on the disk before it is given, so this has to be longer than the disk takes; and a
/// program that is not optimised, on a machine that does other things too, takes longer for everything.
pub const ELECTION_TIMEOUT: Duration =
    Duration::from_millis(if cfg!(debug_assertions) { 500 } else { 150 });
