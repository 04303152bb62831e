//! tikv's `raft` on the transport: three nodes over real endpoints, which elect, replicate, lose their leader, and take in one that is so
//! far behind that it needs a snapshot.

#![allow(clippy::unwrap_used, reason = "tests say where they fail")]

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use blixard_raft_transport::{
    Member, Network, Transport, TransportConfig,
    tikv::{Courier, Inputs},
};
use blixard_rpc::{
    Router,
    transport::iroh::{Endpoint, IrohConnector, IrohServer, ServerHandle},
};
use blixard_tests::net::{endpoint, soon};
use raft::{
    Config, GetEntriesContext, RaftState, RawNode, StateRole, Storage,
    eraftpb::{Entry, Snapshot},
    storage::MemStorage,
};
use tokio::{
    sync::{mpsc, watch},
    task::AbortHandle,
};

/// What a node has applied: words, in order.
type Applied = Vec<String>;

/// The log in memory, and what was applied as the snapshot's bytes.
#[derive(Clone)]
struct Store {
    log: MemStorage,
    applied: Arc<Mutex<(u64, Applied)>>,
}

impl Storage for Store {
    fn initial_state(&self) -> raft::Result<RaftState> {
        self.log.initial_state()
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        self.log.entries(low, high, max_size, context)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        self.log.term(index)
    }

    fn first_index(&self) -> raft::Result<u64> {
        self.log.first_index()
    }

    fn last_index(&self) -> raft::Result<u64> {
        self.log.last_index()
    }

    fn snapshot(&self, request_index: u64, to: u64) -> raft::Result<Snapshot> {
        let mut snapshot = self.log.snapshot(request_index, to)?;
        let (index, words) = self.applied.lock().unwrap().clone();
        snapshot.mut_metadata().index = index;
        snapshot.mut_metadata().term = self.log.term(index)?;
        snapshot.set_data(words.join("\n").into());
        Ok(snapshot)
    }
}

/// What is asked of a node.
enum Ask {
    Propose(String),
    /// To forget the log that is applied.
    Compact,
}

/// What a node shows.
#[derive(Clone, Debug, Default)]
struct View {
    leads: bool,
    applied: Applied,
    /// Snapshots that it has taken.
    snapshots: usize,
}

struct Node {
    member: Member,
    transport: Transport,
    asks: mpsc::UnboundedSender<Ask>,
    view: watch::Receiver<View>,
    directory: PathBuf,
    endpoint: Endpoint,
    /// `None` before it is begun.
    inputs: Option<(Inputs, mpsc::UnboundedReceiver<Ask>, watch::Sender<View>)>,
    courier: Arc<Courier>,
    _server: ServerHandle,
    running: Option<AbortHandle>,
}

impl Node {
    async fn new(id: u64) -> Self {
        let endpoint = endpoint().await;
        let mut config = TransportConfig::new("tikv", id);
        config.suspect_after = Duration::from_millis(300);
        let directory = std::env::temp_dir().join(format!("raft-tikv-{}-{id}", std::process::id()));
        config.snapshot.directory = directory.clone();
        let network = Network::new().iroh(IrohConnector::new(endpoint.clone()));
        let transport = Transport::new(config, network).unwrap();
        let (courier, inputs) = Courier::new(transport.clone());
        let router = Router::new().add(transport.server(Arc::clone(&courier)));
        let server = IrohServer::new(router).spawn(endpoint.clone());
        let (asks, asked) = mpsc::unbounded_channel();
        let (show, view) = watch::channel(View::default());
        Self {
            member: Member::new(id).iroh(server.peer()),
            transport,
            asks,
            view,
            directory,
            endpoint,
            inputs: Some((inputs, asked, show)),
            courier,
            _server: server,
            running: None,
        }
    }

    fn begin(&mut self) {
        let (inputs, asked, show) = self.inputs.take().unwrap();
        let engine = run(
            self.transport.id(),
            Arc::clone(&self.courier),
            inputs,
            asked,
            show,
        );
        self.running = Some(tokio::spawn(engine).abort_handle());
    }

    /// It is gone: its engine, and its way to the others.
    async fn kill(&mut self) {
        self.running.take().unwrap().abort();
        self.endpoint.close().await;
    }

    async fn until(&self, is_so: impl FnMut(&View) -> bool) -> View {
        let mut view = self.view.clone();
        soon(view.wait_for(is_so)).await.unwrap().clone()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The loop that every user of this engine writes.
async fn run(
    id: u64,
    courier: Arc<Courier>,
    mut inputs: Inputs,
    mut asked: mpsc::UnboundedReceiver<Ask>,
    show: watch::Sender<View>,
) {
    let store = Store {
        log: MemStorage::new_with_conf_state((vec![1, 2, 3], vec![])),
        applied: Arc::default(),
    };
    let config = Config {
        id,
        election_tick: 20,
        heartbeat_tick: 4,
        max_size_per_msg: 4096,
        max_inflight_msgs: 64,
        pre_vote: true,
        ..Config::default()
    };
    let logger = slog::Logger::root(slog::Discard, slog::o!());
    let mut node = RawNode::new(&config, store.clone(), &logger).unwrap();
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    loop {
        tokio::select! {
            input = inputs.next() => {
                // What it does not want is nothing to fail of: a message of a term that is over, for example.
                let Some(input) = input else { return };
                let _ = input.apply(&mut node);
                while let Some(input) = inputs.try_next() {
                    let _ = input.apply(&mut node);
                }
            }
            ask = asked.recv() => match ask {
                // A follower hands it on to the leader; without one it is lost.
                Some(Ask::Propose(word)) => drop(node.propose(vec![], word.into_bytes())),
                Some(Ask::Compact) => {
                    let index = store.applied.lock().unwrap().0;
                    store.log.wl().compact(index).unwrap();
                }
                None => return,
            },
            _ = ticks.tick() => drop(node.tick()),
        }
        while node.has_ready() {
            ready(&mut node, &store, &courier, &show);
        }
        show.send_if_modified(|view| {
            let leads = node.raft.state == StateRole::Leader;
            std::mem::replace(&mut view.leads, leads) != leads
        });
    }
}

fn ready(node: &mut RawNode<Store>, store: &Store, courier: &Courier, show: &watch::Sender<View>) {
    let mut ready = node.ready();
    courier.send(ready.take_messages());
    if !ready.snapshot().is_empty() {
        let snapshot = ready.snapshot().clone();
        let words = String::from_utf8(snapshot.get_data().to_vec()).unwrap();
        let words: Applied = words.lines().map(str::to_owned).collect();
        *store.applied.lock().unwrap() = (snapshot.get_metadata().index, words.clone());
        store.log.wl().apply_snapshot(snapshot).unwrap();
        show.send_modify(|view| {
            view.applied = words;
            view.snapshots += 1;
        });
    }
    apply(ready.take_committed_entries(), store, show);
    store.log.wl().append(ready.entries()).unwrap();
    if let Some(state) = ready.hs() {
        store.log.wl().set_hardstate(state.clone());
    }
    courier.send(ready.take_persisted_messages());
    let mut light = node.advance(ready);
    if let Some(commit) = light.commit_index() {
        store.log.wl().mut_hard_state().commit = commit;
    }
    courier.send(light.take_messages());
    apply(light.take_committed_entries(), store, show);
    node.advance_apply();
}

fn apply(entries: Vec<Entry>, store: &Store, show: &watch::Sender<View>) {
    for entry in entries {
        let mut applied = store.applied.lock().unwrap();
        applied.0 = entry.index;
        // The first of a leader says nothing.
        if !entry.data.is_empty() {
            applied
                .1
                .push(String::from_utf8(entry.data.to_vec()).unwrap());
        }
    }
    let words = store.applied.lock().unwrap().1.clone();
    show.send_if_modified(|view| {
        let more = view.applied.len() != words.len();
        view.applied = words;
        more
    });
}

/// The place of the node that leads, of these.
async fn leader(nodes: &[Node], of: &[usize]) -> usize {
    soon(async {
        loop {
            for place in of {
                if nodes[*place].view.borrow().leads {
                    return *place;
                }
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

/// Has words replicated, each proposed again until it is there: whoever led may lead no more.
async fn write(nodes: &[Node], of: &[usize], words: impl Iterator<Item = String>) {
    for word in words {
        loop {
            let leader = &nodes[leader(nodes, of).await];
            leader.asks.send(Ask::Propose(word.clone())).unwrap();
            let mut view = leader.view.clone();
            let applied = view.wait_for(|view| view.applied.contains(&word));
            if tokio::time::timeout(Duration::from_secs(1), applied)
                .await
                .is_ok()
            {
                break;
            }
        }
    }
}

/// The words that a node has, each once: one that was proposed twice may be there twice.
fn words(applied: &Applied) -> Applied {
    let mut seen = Vec::new();
    for word in applied {
        if !seen.contains(word) {
            seen.push(word.clone());
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_elect_replicate_and_take_in_one_that_is_behind() {
    let mut nodes = vec![Node::new(1).await, Node::new(2).await, Node::new(3).await];
    for node in &nodes {
        let members = nodes.iter().map(|other| other.member.clone());
        node.transport.set_members(members).unwrap();
    }
    // Two are a majority. What the third is sent meanwhile waits, within its bounds, or is dropped.
    for node in &mut nodes[..2] {
        node.begin();
    }
    write(&nodes, &[0, 1], (0..50).map(|n| format!("first {n}"))).await;
    let first = leader(&nodes, &[0, 1]).await;
    for node in &nodes[..2] {
        node.until(|view| view.applied.iter().any(|word| word == "first 49"))
            .await;
        node.asks.send(Ask::Compact).unwrap();
    }

    // Of the log there is nothing any more: it takes a snapshot.
    nodes[2].begin();
    let view = nodes[2]
        .until(|view| view.applied.iter().any(|word| word == "first 49"))
        .await;
    assert!(view.snapshots > 0);
    write(&nodes, &[0, 1], (0..20).map(|n| format!("second {n}"))).await;
    nodes[2]
        .until(|view| view.applied.iter().any(|word| word == "second 19"))
        .await;

    let lost = leader(&nodes, &[0, 1, 2]).await;
    nodes[lost].kill().await;
    let rest: Vec<usize> = (0..3).filter(|place| *place != lost).collect();
    write(&nodes, &rest, (0..20).map(|n| format!("third {n}"))).await;
    let expected: Applied = [("first", 50), ("second", 20), ("third", 20)]
        .into_iter()
        .flat_map(|(name, count)| (0..count).map(move |n| format!("{name} {n}")))
        .collect();
    for place in rest {
        let last = |view: &View| view.applied.iter().any(|word| word == "third 19");
        let view = nodes[place].until(last).await;
        assert_eq!(
            words(&view.applied),
            expected,
            "node {} of {first} {lost}",
            place + 1
        );
    }
}
