//! Snapshots arrive whole, or not at all: cut and resumed, corrupted, limited, and cleaned up.

use std::{
    io::{self, Cursor, SeekFrom},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context as TaskContext, Poll},
    time::{Duration, Instant},
};

use blixard_raft_transport::{
    Class, Network, OutgoingSnapshot, Purpose, SNAPSHOT_CHUNK_BYTES, SendError, Transport,
    TransportConfig,
};
use blixard_rpc::{
    Channel, Code, Connect, Context, Pool, Result, Status, Streaming,
    transport::iroh::{IrohConnection, IrohConnector, IrohPeer},
};
use blixard_services::raft::{
    Raft as _, RaftClient, SnapshotBegin, SnapshotChunk, SnapshotEnd, SnapshotPart,
    SnapshotProgress,
};
use blixard_tests::net::soon;
use tokio::io::{AsyncRead, AsyncSeek, ReadBuf};

use super::nodes::{Cluster, NAME, Node, Over, lock};

const MIB: usize = 1024 * 1024;

/// Bytes that follow from a number.
fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut reader = blake3::Hasher::new()
        .update(&seed.to_be_bytes())
        .finalize_xof();
    reader.fill(&mut bytes);
    bytes
}

fn snapshot<R>(id: &str, total_bytes: usize, source: R) -> OutgoingSnapshot<R> {
    OutgoingSnapshot {
        id: id.to_owned(),
        term: 5,
        payload: "what it is".into(),
        total_bytes: total_bytes as u64,
        source,
    }
}

/// The files that are left of uploads.
fn left(node: &Node) -> usize {
    std::fs::read_dir(&node.directory).map_or(0, Iterator::count)
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_of_all_sizes_arrive_whole() {
    let cluster = Cluster::default();
    for over in [Over::Iroh, Over::Grpc] {
        let nodes = cluster.start(over, 2).await;
        let peer = nodes[0].transport.peer(2).unwrap();
        for length in [0, 1, MIB - 1, MIB, MIB + 1, 20 * MIB + 7] {
            let content = bytes(length as u64, length);
            let id = length.to_string();
            let source = Cursor::new(content.clone());
            let response = soon(peer.snapshot(snapshot(&id, length, source)))
                .await
                .unwrap();
            assert_eq!(
                (response.term, &response.payload[..]),
                (5, &b"installed"[..])
            );
            let arrived = lock(&nodes[1].engine.snapshots).pop().unwrap();
            let expected = (1, id, "what it is".into(), blake3::hash(&content));
            assert_eq!(arrived, expected, "{over:?}");
        }
        assert_eq!(left(&nodes[1]), 0);
    }
}

/// Connections that can be cut.
#[derive(Clone)]
struct Cutting {
    inner: IrohConnector,
    open: Arc<Mutex<Vec<IrohConnection>>>,
}

impl Cutting {
    fn cut(&self) {
        for connection in lock(&self.open).drain(..) {
            connection.link().connection().close(9_u32.into(), b"cut");
        }
    }
}

impl Connect for Cutting {
    type Peer = IrohPeer;
    type Connection = IrohConnection;

    async fn connect(&self, peer: &IrohPeer) -> Result<IrohConnection> {
        let connection = self.inner.connect(peer).await?;
        lock(&self.open).push(connection.clone());
        Ok(connection)
    }

    async fn closed(connection: &IrohConnection) -> Status {
        IrohConnector::closed(connection).await
    }
}

/// A source that cuts the connection when it is read at certain places, and counts what is read.
struct Source {
    content: Cursor<Vec<u8>>,
    cuts: Vec<u64>,
    cutting: Cutting,
    read_bytes: Arc<Mutex<u64>>,
}

impl AsyncRead for Source {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.content).poll_read(cx, buffer);
        *lock(&this.read_bytes) += (buffer.filled().len() - before) as u64;
        if this
            .cuts
            .first()
            .is_some_and(|cut| this.content.position() >= *cut)
        {
            this.cuts.remove(0);
            this.cutting.cut();
        }
        polled
    }
}

impl AsyncSeek for Source {
    fn start_seek(self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
        Pin::new(&mut self.get_mut().content).start_seek(position)
    }

    fn poll_complete(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<u64>> {
        Pin::new(&mut self.get_mut().content).poll_complete(cx)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_cut_ten_times_goes_on_each_time() {
    let cluster = Cluster::default();
    let receiver = cluster.node(Over::Iroh, NAME, 2, |_| {}).await;
    let sender = cluster.node(Over::Iroh, NAME, 1, |_| {}).await;
    receiver
        .transport
        .set_member(sender.member.clone())
        .unwrap();
    let cutting = Cutting {
        inner: IrohConnector::new(sender.endpoint.clone().unwrap()),
        open: Arc::default(),
    };
    let (pool, peer) = (Pool::new(cutting.clone()), receiver.iroh_peer());
    let network = Network::new().custom(move |_, purpose| {
        assert!(Purpose::ALL.contains(&purpose));
        Channel::new(pool.channel(peer.clone()))
    });
    let transport = Transport::new(TransportConfig::new(NAME, 1), network).unwrap();
    transport.set_member(receiver.member.clone()).unwrap();

    let length = 60 * MIB;
    let content = bytes(1, length);
    let seed = std::env::var("BLIXARD_SEED").map_or_else(
        |_| u64::from(std::process::id()),
        |seed| seed.parse().unwrap(),
    );
    println!("BLIXARD_SEED={seed}");
    let places = bytes(seed, 80);
    let mut cuts: Vec<u64> = places
        .chunks(8)
        .map(|place| u64::from_be_bytes(place.try_into().unwrap()) % length as u64)
        .collect();
    cuts.sort_unstable();
    let expected = blake3::hash(&content);
    let read_bytes = Arc::new(Mutex::new(0));
    let source = Source {
        content: Cursor::new(content),
        cuts,
        cutting,
        read_bytes: Arc::clone(&read_bytes),
    };
    let peer = transport.peer(2).unwrap();
    let sending = peer.snapshot(snapshot("cut", length, source));
    let response = tokio::time::timeout(Duration::from_secs(120), sending)
        .await
        .unwrap();
    response.unwrap();
    let arrived = lock(&receiver.engine.snapshots).pop().unwrap();
    assert_eq!(arrived.3, expected);
    assert_eq!(left(&receiver), 0);
    // Each cut costs what was under way, and no more.
    let again = *lock(&read_bytes) - length as u64;
    assert!(
        again <= 10 * 9 * MIB as u64,
        "{again} bytes were read again"
    );
    let failed = transport.metrics();
    let failed = failed
        .lines()
        .find_map(|line| {
            line.strip_prefix("blixard_raft_failed_total{peer=\"2\",class=\"snapshot\"} ")
        })
        .unwrap();
    let failed: u64 = failed.parse().unwrap();
    assert!(failed >= 5, "it was cut {failed} times alone");
}

/// A client that says what it likes, as the member that the node is.
async fn client(from: &Node, to: &Node) -> RaftClient {
    let connector = IrohConnector::new(from.endpoint.clone().unwrap());
    RaftClient::new(Channel::new(
        soon(connector.dial(to.iroh_peer())).await.unwrap(),
    ))
}

fn begin(id: &str, total_bytes: usize) -> SnapshotPart {
    SnapshotPart::Begin(SnapshotBegin {
        cluster: NAME.to_owned(),
        target: 2,
        term: 1,
        id: id.to_owned(),
        total_bytes: total_bytes as u64,
        payload: "p".into(),
    })
}

fn chunk(content: &[u8], offset: usize) -> SnapshotChunk {
    let end = content.len().min(offset + SNAPSHOT_CHUNK_BYTES);
    let data = content[offset..end].to_vec();
    SnapshotChunk {
        offset: offset as u64,
        hash: blake3::hash(&data).as_bytes().to_vec().into(),
        data: data.into(),
    }
}

fn end(content: &[u8]) -> SnapshotEnd {
    let mut hasher = blake3::Hasher::new();
    for chunk in content.chunks(SNAPSHOT_CHUNK_BYTES) {
        hasher.update(blake3::hash(chunk).as_bytes());
    }
    SnapshotEnd {
        hash: hasher.finalize().as_bytes().to_vec().into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_corrupt_is_not_taken_and_what_came_before_stays() {
    let nodes = Cluster::default().start(Over::Iroh, 2).await;
    let client = client(&nodes[0], &nodes[1]).await;
    let content = bytes(2, 3 * MIB);
    let mut corrupt = chunk(&content, MIB);
    let mut data = corrupt.data.to_vec();
    data[77] ^= 1;
    corrupt.data = data.into();
    let good = |offset| SnapshotPart::Chunk(chunk(&content, offset));
    let upload = async |parts: Vec<SnapshotPart>| {
        // The stream stays open behind the parts, as it does while chunks are read.
        let (sender, stream) = Streaming::channel(8);
        for part in parts {
            sender.send(part).await.unwrap();
        }
        let mut answers = soon(client.snapshot(&Context::background(), stream))
            .await
            .unwrap();
        let mut seen = Vec::new();
        loop {
            match soon(answers.next()).await.unwrap() {
                Ok(SnapshotProgress::Received(offset)) => seen.push(offset as usize / MIB),
                Ok(SnapshotProgress::Installed(_)) => return (seen, Code::Ok),
                Err(status) => return (seen, status.code()),
            }
        }
    };
    let parts = vec![
        begin("c", content.len()),
        good(0),
        SnapshotPart::Chunk(corrupt),
    ];
    assert_eq!(upload(parts).await, (vec![0, 1], Code::DataLoss));
    // A gap, and a chunk twice.
    for offset in [2 * MIB, 0] {
        let parts = vec![begin("c", content.len()), good(offset)];
        assert_eq!(upload(parts).await, (vec![1], Code::InvalidArgument));
    }
    // Too soon an end.
    let parts = vec![begin("c", content.len()), SnapshotPart::End(end(&content))];
    assert_eq!(upload(parts).await, (vec![1], Code::InvalidArgument));
    assert_eq!(
        (lock(&nodes[1].engine.snapshots).len(), left(&nodes[1])),
        (0, 1)
    );
    // A whole that is another one: all of it is dropped.
    let parts = vec![
        begin("c", content.len()),
        good(MIB),
        good(2 * MIB),
        SnapshotPart::End(end(&content[1..])),
    ];
    assert_eq!(upload(parts).await, (vec![1, 2, 3], Code::DataLoss));
    assert_eq!(
        (lock(&nodes[1].engine.snapshots).len(), left(&nodes[1])),
        (0, 0)
    );
    // Another snapshot takes the place of one that is there in part.
    let parts = vec![begin("d", content.len()), good(0), good(0)];
    assert_eq!(upload(parts).await, (vec![0, 1], Code::InvalidArgument));
    let parts = vec![
        begin("e", content.len()),
        good(0),
        good(MIB),
        good(2 * MIB),
        SnapshotPart::End(end(&content)),
    ];
    let (seen, code) = upload(parts).await;
    assert_eq!((&seen[..4], code), (&[0, 1, 2, 3][..], Code::Ok));
    let arrived = lock(&nodes[1].engine.snapshots).pop().unwrap();
    assert_eq!(
        (arrived.1.as_str(), arrived.3),
        ("e", blake3::hash(&content))
    );
    assert_eq!(left(&nodes[1]), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_or_cannot_be_read_is_said_at_once() {
    let nodes = Cluster::default()
        .start_with(Over::Iroh, 2, |config| {
            config.snapshot.max_bytes = MIB as u64
        })
        .await;
    let peer = nodes[0].transport.peer(2).unwrap();
    let source = Cursor::new(vec![0; 2 * MIB]);
    let large = soon(peer.snapshot(snapshot("large", 2 * MIB, source))).await;
    assert!(
        matches!(&large, Err(SendError::Full(status)) if status.message().contains("max_bytes")),
        "{large:?}"
    );
    let source = Cursor::new(vec![0; 10]);
    let short = soon(peer.snapshot(snapshot("short", 100, source))).await;
    assert!(
        matches!(&short, Err(SendError::Failed(status)) if status.message().contains("read")),
        "{short:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_run_has_left_is_removed() {
    let cluster = Cluster::default();
    let nodes = cluster.start(Over::Iroh, 2).await;
    let client = client(&nodes[0], &nodes[1]).await;
    let content = bytes(3, 2 * MIB);
    let parts = [
        begin("f", content.len()),
        SnapshotPart::Chunk(chunk(&content, 0)),
    ];
    let (sender, stream) = Streaming::channel(8);
    for part in parts {
        sender.send(part).await.unwrap();
    }
    let mut answers = soon(client.snapshot(&Context::background(), stream))
        .await
        .unwrap();
    for _ in 0..2 {
        soon(answers.next()).await.unwrap().unwrap();
    }
    assert_eq!(left(&nodes[1]), 1);
    let other = nodes[1].directory.join("not-ours");
    std::fs::write(&other, "x").unwrap();
    // As after a crash: the files are there, and who wrote them is not.
    let config = nodes[1].transport.config().clone();
    let again = Transport::new(config, Network::new().custom(|_, _| unreachable!())).unwrap();
    assert_eq!((again.id(), left(&nodes[1]), other.exists()), (2, 1, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_are_no_faster_than_they_may_be() {
    let nodes = Cluster::default()
        .start_with(Over::Iroh, 2, |config| {
            config.snapshot.bytes_per_second = Some(8 * MIB as u64);
        })
        .await;
    let peer = nodes[0].transport.peer(2).unwrap();
    let began = Instant::now();
    let source = Cursor::new(vec![0; 5 * MIB]);
    soon(peer.snapshot(snapshot("slow", 5 * MIB, source)))
        .await
        .unwrap();
    // The first MiB goes at once, each further one an eighth of a second later.
    assert!(
        began.elapsed() >= Duration::from_millis(490),
        "{:?}",
        began.elapsed()
    );
    let status = &nodes[0].transport.status()[0].classes[Class::Snapshot.index()];
    assert_eq!(status.sent_messages, 5);
}
