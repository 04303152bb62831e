//! Snapshots: how fast one is uploaded beside raw iroh, and what it costs others.

use std::{
    io::{self, Cursor, SeekFrom},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use blixard_raft_transport::{
    Engine, MemberId, OutgoingSnapshot, RaftMessage, ReceivedSnapshot, TransportConfig,
};
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
}

impl Source {
    fn new() -> Self {
        Self {
            chunk: Cursor::new(vec![7; MIB as usize]),
            place: 0,
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

fn snapshot(id: &str, total_bytes: u64) -> OutgoingSnapshot<Source> {
    OutgoingSnapshot {
        id: id.to_owned(),
        term: 1,
        payload: Default::default(),
        total_bytes,
        source: Source::new(),
    }
}

/// Drops what comes.
pub(crate) struct Sink;

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
    for round in 0..plan.rounds.min(3) {
        let raw_rate = raw.upload(bytes).await?;
        let what = "snapshot, loopback";
        report.add(what, MibPerSecond, Any, "raw iroh", raw_rate / MIB as f64);
        for (mode, from, ..) in &pairs {
            let began = Instant::now();
            let peer = from.peer(2).ok_or("2 is a member")?;
            peer.snapshot(snapshot(&format!("snapshot {round}"), bytes))
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

/// The shortest election timeout where a snapshot flows beside other things.
const ELECTION: Duration = Duration::from_millis(300);

/// A cluster that writes while a snapshot flows from its leader: heartbeats, elections, and what is lost of the writes.
pub(crate) async fn beside(plan: &Plan, report: &mut Report) -> Outcome<()> {
    for mode in &plan.over {
        let cluster = Cluster::start(*mode, ELECTION, |_| {}).await?;
        let mut beats = [Vec::new(), Vec::new()];
        let mut elections = 0;
        let name = mode.name();
        for round in 0..plan.rounds.min(3) {
            let seen = Seen::of(&cluster, CLIENTS, plan.snapshot_bytes, round, plan.time).await?;
            report.add(
                "snapshot beside 256 clients",
                MibPerSecond,
                Any,
                name,
                seen.snapshot_rate,
            );
            report.add(
                "- writes lost meanwhile",
                Percent,
                Under(30.0),
                name,
                seen.lost_percent,
            );
            elections += seen.elections;
            for (all, these) in beats.iter_mut().zip(seen.beats) {
                all.extend(these);
            }
        }
        let [before, beside] = beats.map(|beats| quantile(&beats, 0.99));
        report.add("- heartbeat p99, before", Millis, Any, name, before);
        report.add("- heartbeat p99", Millis, Under(10.0), name, beside);
        report.add("- elections", Count, Under(0.0), name, elections as f64);
        cluster.stop().await;
    }
    Ok(())
}

/// The same through 100 Mbit/s, of which snapshots may take 80 %: a quarter of the bytes, which take long enough.
pub(crate) async fn narrow(plan: &Plan, report: &mut Report) -> Outcome<()> {
    for mode in &plan.over {
        let limit = |config: &mut TransportConfig| {
            config.snapshot.bytes_per_second = Some(10_000_000);
        };
        let cluster = Cluster::start_at(Sites::over_link()?, *mode, ELECTION, limit).await?;
        let seen = Seen::of(&cluster, 16, plan.snapshot_bytes / 4, 0, plan.time).await?;
        let [before, beside] = seen.beats.map(|beats| quantile(&beats, 0.99));
        for (what, unit, least, value) in [
            ("snapshot", MibPerSecond, Any, seen.snapshot_rate),
            ("heartbeat p99, before", Millis, Any, before),
            ("heartbeat p99", Millis, Under(40.0), beside),
            ("elections", Count, Under(0.0), seen.elections as f64),
        ] {
            let what = format!("100 Mbit/s, 20 ms: {what}");
            report.add(&what, unit, least, mode.name(), value);
        }
        cluster.stop().await;
    }
    Ok(())
}

/// What was seen while a snapshot flowed from the leader to a follower, and clients wrote.
struct Seen {
    snapshot_rate: f64,
    lost_percent: f64,
    /// How long heartbeats took before, and while it flowed.
    beats: [Vec<f64>; 2],
    elections: u64,
}

impl Seen {
    async fn of(
        cluster: &Cluster,
        clients: usize,
        bytes: u64,
        round: usize,
        time: Duration,
    ) -> Outcome<Self> {
        let leader = cluster.leader().await?;
        let to = *leader.raft.node_id() % 3 + 1;
        load(&leader.raft, clients, time / 4).await?;
        leader.beats.take();
        let writes = load(&leader.raft, clients, time).await?.len();
        let before = writes as f64 / time.as_secs_f64();
        let alone = leader.beats.take();
        let term = cluster.term();
        let peer = leader.transport.peer(to).ok_or("it is a member")?;
        let began = Instant::now();
        let ended = AtomicBool::new(false);
        let flowing = async {
            let id = format!("{BESIDE} {round}");
            let sent = peer.snapshot(snapshot(&id, bytes)).await;
            ended.store(true, Ordering::Relaxed);
            (sent, began.elapsed())
        };
        let writing = async {
            let mut writes = 0;
            while !ended.load(Ordering::Relaxed) {
                let some = load(&leader.raft, clients, Duration::from_millis(200));
                writes += some.await?.len();
            }
            Outcome::Ok(writes as f64 / began.elapsed().as_secs_f64())
        };
        let ((sent, took), rate) = join(flowing, writing).await;
        sent?;
        Ok(Self {
            snapshot_rate: bytes as f64 / took.as_secs_f64() / MIB as f64,
            lost_percent: (1.0 - rate? / before) * 100.0,
            beats: [alone, leader.beats.take()],
            elections: cluster.term() - term,
        })
    }
}
