//! Snapshots: how fast one is uploaded beside raw iroh, what a cut costs, and what it costs others.

use std::{
    io::{self, Cursor, SeekFrom},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use blixard_raft_transport::{Engine, MemberId, OutgoingSnapshot, RaftMessage, ReceivedSnapshot};
use blixard_rpc::Result;
use futures_util::future::join;
use tokio::io::{AsyncRead, AsyncSeek, ReadBuf};

use crate::{
    MIB, Outcome, Plan,
    commits::{CLIENTS, load},
    nodes::{BESIDE, Cluster, Sites},
    raw::Pair,
    report::{
        Least::{Any, Over, Under},
        Report,
        Unit::{Count, MibPerSecond, Millis, Percent, Times},
        quantile,
    },
};

/// A MiB again and again, from memory: the disk of the sender is not what is measured.
struct Source {
    chunk: Cursor<Vec<u8>>,
    place: u64,
    read: Arc<AtomicU64>,
}

impl Source {
    fn new(read: &Arc<AtomicU64>) -> Self {
        Self {
            chunk: Cursor::new(vec![7; MIB as usize]),
            place: 0,
            read: Arc::clone(read),
        }
    }
}

impl AsyncRead for Source {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let offset = (self.place % MIB) as usize;
        let part = &self.chunk.get_ref()[offset..];
        let length = part.len().min(buffer.remaining());
        buffer.put_slice(&part[..length]);
        self.place += length as u64;
        self.read.fetch_add(length as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncSeek for Source {
    fn start_seek(mut self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
        if let SeekFrom::Start(place) = position {
            self.place = place;
        }
        Ok(())
    }

    fn poll_complete(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Poll::Ready(Ok(self.place))
    }
}

fn snapshot(id: &str, total_bytes: u64, read: &Arc<AtomicU64>) -> OutgoingSnapshot<Source> {
    OutgoingSnapshot {
        id: id.to_owned(),
        term: 1,
        payload: Default::default(),
        total_bytes,
        source: Source::new(read),
    }
}

/// Drops what comes.
struct Sink;

impl Engine for Sink {
    async fn snapshot(&self, _: MemberId, _: ReceivedSnapshot) -> Result<RaftMessage> {
        Ok(RaftMessage::default())
    }
}

/// One snapshot at a time, and a raw upload.
pub(crate) async fn upload(plan: &Plan, report: &mut Report) -> Outcome<()> {
    let bytes = plan.snapshot_bytes;
    let raw = Pair::connect().await?;
    let mut pairs = Vec::new();
    for mode in &plan.over {
        let sites = Sites::new()?;
        let (here, there) = (
            sites.site(1, *mode, |_| {}).await?,
            sites.site(2, *mode, |_| {}).await?,
        );
        let from = here.transport.clone();
        pairs.push((
            *mode,
            from,
            [here.serve(Arc::new(Sink))?, there.serve(Arc::new(Sink))?],
            sites,
        ));
    }
    let read = Arc::default();
    for round in 0..plan.rounds.min(3) {
        let raw_rate = raw.upload(bytes).await?;
        let what = "snapshot, loopback";
        report.add(what, MibPerSecond, Any, "raw iroh", raw_rate / MIB as f64);
        for (mode, from, ..) in &pairs {
            let began = Instant::now();
            let peer = from.peer(2).ok_or("2 is a member")?;
            peer.snapshot(snapshot(&format!("snapshot {round}"), bytes, &read))
                .await?;
            let rate = bytes as f64 / began.elapsed().as_secs_f64();
            report.add(what, MibPerSecond, Any, mode.name(), rate / MIB as f64);
            report.add(
                "- beside a raw iroh upload",
                Times,
                Over(0.6),
                mode.name(),
                rate / raw_rate,
            );
        }
    }
    Ok(())
}

/// A cluster that writes while a snapshot flows from its leader: heartbeats, elections, and what is lost of the writes.
pub(crate) async fn beside(plan: &Plan, report: &mut Report) -> Outcome<()> {
    const ELECTION: Duration = Duration::from_millis(300);
    let read = Arc::default();
    for mode in &plan.over {
        let cluster = Cluster::start(*mode, ELECTION, |_| {}).await?;
        let leader = cluster.leader().await?;
        let to = *leader.raft.node_id() % 3 + 1;
        load(&leader.raft, CLIENTS, plan.time / 4).await?;
        let name = mode.name();
        leader.beats.take();
        let mut elections = 0;
        let (mut alone, mut beats) = (Vec::new(), Vec::new());
        for round in 0..plan.rounds.min(3) {
            let before = load(&leader.raft, CLIENTS, plan.time).await?.len() as f64
                / plan.time.as_secs_f64();
            alone.extend(leader.beats.take());
            let term = cluster.term();
            let peer = leader.transport.peer(to).ok_or("it is a member")?;
            let id = format!("{BESIDE} {round}");
            let began = Instant::now();
            let ended = AtomicBool::new(false);
            let flowing = async {
                let sent = peer
                    .snapshot(snapshot(&id, plan.snapshot_bytes, &read))
                    .await;
                ended.store(true, Ordering::Relaxed);
                (sent, began.elapsed())
            };
            let writing = async {
                let mut writes = 0;
                while !ended.load(Ordering::Relaxed) {
                    writes += load(&leader.raft, CLIENTS, Duration::from_millis(200))
                        .await?
                        .len();
                }
                Outcome::Ok(writes as f64 / began.elapsed().as_secs_f64())
            };
            let ((sent, took), rate) = join(flowing, writing).await;
            sent?;
            beats.extend(leader.beats.take());
            elections += cluster.term() - term;
            report.add(
                "snapshot beside 256 clients",
                MibPerSecond,
                Any,
                name,
                plan.snapshot_bytes as f64 / took.as_secs_f64() / MIB as f64,
            );
            report.add(
                "- writes lost meanwhile",
                Percent,
                Under(30.0),
                name,
                (1.0 - rate? / before) * 100.0,
            );
        }
        report.add(
            "- heartbeat p99, before",
            Millis,
            Any,
            name,
            quantile(&alone, 0.99),
        );
        report.add(
            "- heartbeat p99",
            Millis,
            Under(10.0),
            name,
            quantile(&beats, 0.99),
        );
        report.add("- elections", Count, Under(0.0), name, elections as f64);
        cluster.stop().await;
    }
    Ok(())
}
