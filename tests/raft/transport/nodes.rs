//! Nodes of a cluster on loopback, with an engine that notes what reaches it.

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use blixard_raft_transport::{
    Ask, Class, Engine, Event, Member, MemberId, Network, RaftMessage, ReceivedSnapshot, Transport,
    TransportConfig,
};
use blixard_rpc::{
    Result, Router, Status, Streaming,
    runner::Mode,
    transport::{
        grpc::{ClientTls, GrpcConnector, GrpcHandle, GrpcPeer, GrpcServer, ServerTls},
        iroh::{Endpoint, IrohConnector, IrohPeer, IrohServer, ServerHandle},
    },
};
use blixard_tests::{net::endpoint, secrets::Authority};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::watch;

/// Notes what reaches it.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) asked: Mutex<Vec<(MemberId, Ask, RaftMessage)>>,
    /// Everything that was delivered, in order.
    delivered: watch::Sender<Vec<(MemberId, Class, RaftMessage)>>,
    pub(crate) snapshots: Mutex<Vec<(MemberId, String, Bytes, blake3::Hash)>>,
    pub(crate) events: watch::Sender<Vec<Event>>,
    /// While it says so, nothing of the log is taken.
    pub(crate) log_stands_still: watch::Sender<bool>,
    pub(crate) appended: AtomicU64,
}

impl Recorder {
    pub(crate) fn delivered(&self) -> Vec<(MemberId, Class, RaftMessage)> {
        self.delivered.borrow().clone()
    }

    /// What of this class was delivered, in order.
    pub(crate) fn numbers(&self, class: Class) -> Vec<u64> {
        let delivered = self.delivered.borrow();
        delivered
            .iter()
            .filter(|(_, of, _)| *of == class)
            .map(|(_, _, message)| number(&message.payload))
            .collect()
    }

    /// Waits until what was delivered is as is asked for.
    pub(crate) async fn until(
        &self,
        is_so: impl FnMut(&Vec<(MemberId, Class, RaftMessage)>) -> bool,
    ) {
        let mut changes = self.delivered.subscribe();
        changes.wait_for(is_so).await.expect("it is here");
    }

    /// Waits until the transport has told what is asked for.
    pub(crate) async fn told(&self, is_so: impl FnMut(&Vec<Event>) -> bool) {
        let mut changes = self.events.subscribe();
        changes.wait_for(is_so).await.expect("it is here");
    }
}

impl Engine for Recorder {
    async fn ask(&self, from: MemberId, ask: Ask, request: RaftMessage) -> Result<RaftMessage> {
        lock(&self.asked).push((from, ask, request.clone()));
        Ok(RaftMessage::new(request.term + 1, request.payload))
    }

    async fn append(
        &self,
        from: MemberId,
        requests: Streaming<RaftMessage>,
    ) -> Result<Streaming<RaftMessage>> {
        let mut appended = 0;
        let answers = requests.map(move |request| {
            let request = request?;
            assert_eq!(number(&request.payload), appended, "from {from}");
            appended += 1;
            Ok(RaftMessage::new(request.term, request.payload))
        });
        self.appended.fetch_add(1, Ordering::Relaxed);
        Ok(Streaming::new(answers))
    }

    async fn snapshot(&self, from: MemberId, snapshot: ReceivedSnapshot) -> Result<RaftMessage> {
        let bytes =
            std::fs::read(snapshot.path()).map_err(|error| Status::internal(error.to_string()))?;
        assert_eq!(bytes.len() as u64, snapshot.total_bytes());
        lock(&self.snapshots).push((
            from,
            snapshot.id().to_owned(),
            snapshot.payload().clone(),
            blake3::hash(&bytes),
        ));
        Ok(RaftMessage::new(snapshot.term(), "installed"))
    }

    async fn deliver(
        &self,
        from: MemberId,
        class: Class,
        messages: Vec<RaftMessage>,
    ) -> Result<()> {
        if class == Class::LogAppend {
            let mut stands_still = self.log_stands_still.subscribe();
            let _ = stands_still.wait_for(|stands_still| !stands_still).await;
        }
        self.delivered.send_modify(|delivered| {
            delivered.extend(messages.into_iter().map(|message| (from, class, message)));
        });
        Ok(())
    }

    fn event(&self, event: Event) {
        self.events.send_modify(|events| events.push(event));
    }
}

/// One node.
pub(crate) struct Node {
    pub(crate) transport: Transport,
    pub(crate) engine: Arc<Recorder>,
    pub(crate) member: Member,
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) iroh: Option<ServerHandle>,
    pub(crate) grpc: Option<GrpcHandle>,
    pub(crate) directory: PathBuf,
}

/// Over what nodes are served and dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Iroh,
    Grpc,
    Both,
}

/// Who vouches for the nodes of a cluster.
#[derive(Default)]
pub(crate) struct Cluster {
    pub(crate) authority: Authority,
}

pub(crate) const NAME: &str = "orders";

impl Cluster {
    /// Nodes 1 to `count` who know each other.
    pub(crate) async fn start(&self, over: Over, count: u64) -> Vec<Node> {
        self.start_with(over, count, |_| {}).await
    }

    /// The same, with settings of their own.
    pub(crate) async fn start_with(
        &self,
        over: Over,
        count: u64,
        set: impl Fn(&mut TransportConfig),
    ) -> Vec<Node> {
        let mut nodes = Vec::new();
        for id in 1..=count {
            nodes.push(self.node(over, NAME, id, &set).await);
        }
        introduce(&nodes);
        nodes
    }

    /// A node that knows nobody yet.
    pub(crate) async fn node(
        &self,
        over: Over,
        cluster: &str,
        id: MemberId,
        set: impl Fn(&mut TransportConfig),
    ) -> Node {
        let endpoint = match over {
            Over::Iroh | Over::Both => Some(endpoint().await),
            Over::Grpc => None,
        };
        self.node_on(endpoint, over, cluster, id, set).await
    }

    /// The same, on this endpoint.
    pub(crate) async fn node_on(
        &self,
        endpoint: Option<Endpoint>,
        over: Over,
        cluster: &str,
        id: MemberId,
        set: impl Fn(&mut TransportConfig),
    ) -> Node {
        let mut config = TransportConfig::new(cluster, id);
        let directory = std::env::temp_dir().join(format!(
            "raft-transport-{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        ));
        config.snapshot.directory = directory.clone();
        config.mode = match over {
            Over::Iroh => Mode::Iroh,
            Over::Grpc => Mode::Grpc,
            Over::Both => Mode::Dual,
        };
        set(&mut config);
        let mut network = Network::new();
        let mut member = Member::new(id);
        let name = format!("node-{id}");
        if let Some(endpoint) = &endpoint {
            network = network.iroh(IrohConnector::new(endpoint.clone()));
        }
        if over != Over::Iroh {
            network = network.grpc(self.connector(&name));
            member = member.certificate_name(&name);
        }
        let transport = Transport::new(config, network).expect("the settings are right");
        let engine = Arc::new(Recorder::default());
        let router = Router::new().add(transport.server(Arc::clone(&engine)));
        let iroh = endpoint
            .clone()
            .map(|endpoint| IrohServer::new(router.clone()).spawn(endpoint));
        if let Some(iroh) = &iroh {
            member = member.iroh(iroh.peer());
        }
        let grpc = if over == Over::Iroh {
            None
        } else {
            let server = GrpcServer::new(router).tls(self.server_tls());
            Some(
                server
                    .bind("127.0.0.1:0")
                    .await
                    .expect("loopback can be bound"),
            )
        };
        if let Some(grpc) = &grpc {
            member = member.grpc(https(grpc.local_addr().expect("it is TCP")));
        }
        Node {
            transport,
            engine,
            member,
            endpoint,
            iroh,
            grpc,
            directory,
        }
    }

    /// Dials as who has this name in its certificate.
    pub(crate) fn connector(&self, name: &str) -> GrpcConnector {
        let signed = self.authority.sign(name);
        let authority = self.authority.pem().as_bytes();
        let tls = ClientTls::mutual(authority, signed.certificate(), signed.key());
        GrpcConnector::new().tls(tls.expect("they are certificates"))
    }

    fn server_tls(&self) -> ServerTls {
        let server = self.authority.sign("localhost");
        let authority = self.authority.pem().as_bytes();
        ServerTls::mutual(server.certificate(), server.key(), authority)
            .expect("they are certificates")
    }
}

impl Node {
    /// By what it is dialled over iroh.
    pub(crate) fn iroh_peer(&self) -> IrohPeer {
        self.iroh.as_ref().expect("it is served there").peer()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

pub(crate) fn https(address: SocketAddr) -> GrpcPeer {
    let text = format!("https://localhost:{}", address.port());
    text.parse().expect("it is an address")
}

/// Lets all nodes know each other.
pub(crate) fn introduce(nodes: &[Node]) {
    for node in nodes {
        let members = nodes.iter().map(|other| other.member.clone());
        node.transport.set_members(members).expect("they differ");
    }
}

/// A message that carries a number, and is so long.
pub(crate) fn numbered(number: u64, bytes: usize) -> RaftMessage {
    let mut payload = vec![0; bytes.max(8)];
    payload[..8].copy_from_slice(&number.to_be_bytes());
    RaftMessage::new(7, payload)
}

/// The number that a payload carries.
pub(crate) fn number(payload: &Bytes) -> u64 {
    u64::from_be_bytes(payload[..8].try_into().expect("it has eight bytes"))
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long something may take that is asked for.
pub(crate) const WITHIN: Duration = Duration::from_secs(5);

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// How often each number came.
pub(crate) fn tally(numbers: &[u64]) -> HashMap<u64, usize> {
    let mut tally = HashMap::new();
    for number in numbers {
        *tally.entry(*number).or_default() += 1;
    }
    tally
}
