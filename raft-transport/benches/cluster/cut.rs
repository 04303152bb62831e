//! A snapshot whose connection is cut again and again: how much of it is sent again after each cut.

use std::{
    io::{self, SeekFrom},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use blixard_raft_transport::{Network, OutgoingSnapshot, Transport, TransportConfig};
use blixard_rpc::{
    Channel, Connect, Pool, PoolConfig, Result, Status,
    runner::Mode,
    transport::iroh::{IrohConnection, IrohConnector, IrohPeer},
};
use tokio::io::{AsyncRead, AsyncSeek, ReadBuf};

use crate::{
    MIB, Outcome, Plan,
    nodes::Sites,
    report::{
        Least::Under,
        Report,
        Unit::{Count, Mib},
    },
    snapshots::Sink,
};

/// Connections that can be cut.
#[derive(Clone)]
struct Cutting {
    inner: IrohConnector,
    open: Arc<Mutex<Vec<IrohConnection>>>,
}

impl Cutting {
    fn cut(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for connection in open.drain(..) {
            connection.link().connection().close(9_u32.into(), b"cut");
        }
    }
}

impl Connect for Cutting {
    type Peer = IrohPeer;
    type Connection = IrohConnection;

    async fn connect(&self, peer: &IrohPeer) -> Result<IrohConnection> {
        let connection = self.inner.connect(peer).await?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.push(connection.clone());
        Ok(connection)
    }

    async fn closed(connection: &IrohConnection) -> Status {
        IrohConnector::closed(connection).await
    }
}

/// Bytes from nowhere, which cut the connection whenever so many more were read.
struct Source {
    cutting: Cutting,
    cut_every: u64,
    next_cut: u64,
    place: u64,
    most_again: Arc<AtomicU64>,
    cuts: Arc<AtomicU64>,
}

impl AsyncRead for Source {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let length = buffer.remaining();
        buffer.initialize_unfilled().fill(7);
        buffer.advance(length);
        self.place += length as u64;
        if self.place >= self.next_cut {
            self.next_cut += self.cut_every;
            self.cuts.fetch_add(1, Ordering::Relaxed);
            self.cutting.cut();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncSeek for Source {
    fn start_seek(mut self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
        if let SeekFrom::Start(place) = position {
            // What was read already is sent again, but for what was read and not sent, which counts too.
            let again = self.place.saturating_sub(place);
            self.most_again.fetch_max(again, Ordering::Relaxed);
            self.place = place;
        }
        Ok(())
    }

    fn poll_complete(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Poll::Ready(Ok(self.place))
    }
}

/// Ten cuts of one snapshot.
pub(crate) async fn run(plan: &Plan, report: &mut Report) -> Outcome<()> {
    let sites = Sites::new()?;
    let (here, there) = (
        sites.site(1, Mode::Iroh, |_| {}).await?,
        sites.site(2, Mode::Iroh, |_| {}).await?,
    );
    let cutting = Cutting {
        inner: IrohConnector::new(here.endpoint.clone()),
        open: Arc::default(),
    };
    let mut config = TransportConfig::new("bench", 1);
    config.snapshot.bytes_per_second = None;
    // As the transport dials by itself.
    let dials = PoolConfig {
        backoff: config.redial,
        ..PoolConfig::default()
    };
    let pool = Pool::with_config(cutting.clone(), dials);
    let peer = sites.layout.member(2)?.peer();
    let network = Network::new().custom(move |_, _| Channel::new(pool.channel(peer.clone())));
    let transport = Transport::new(config, network)?;
    transport.set_members(here.transport.members())?;
    let _running = there.serve(Arc::new(Sink))?;

    let (most_again, cuts) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let cut_every = plan.snapshot_bytes / 11;
    let snapshot = OutgoingSnapshot {
        id: "cut".to_owned(),
        term: 1,
        payload: Default::default(),
        total_bytes: plan.snapshot_bytes,
        source: Source {
            cutting,
            cut_every,
            next_cut: cut_every,
            place: 0,
            most_again: Arc::clone(&most_again),
            cuts: Arc::clone(&cuts),
        },
    };
    transport
        .peer(2)
        .ok_or("2 is a member")?
        .snapshot(snapshot)
        .await?;
    let most = most_again.load(Ordering::Relaxed) as f64 / MIB as f64;
    let cuts = cuts.load(Ordering::Relaxed) as f64;
    report.add(
        "sent again after a cut, at most",
        Mib,
        Under(8.0),
        "iroh",
        most,
    );
    report.add("- cuts", Count, crate::report::Least::Any, "iroh", cuts);
    Ok(())
}
