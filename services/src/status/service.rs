//! [`StatusReports`]: answers by what its sources know.

use std::{
    fmt,
    future::pending,
    sync::Arc,
    time::{Instant, SystemTime},
};

use blixard_rpc::{Result, Status, Streaming};
use futures_util::stream;

use super::{
    api::{NodeStatus, NodeStatusServer},
    messages::{
        ClusterResponse, PeerConnection, PeersResponse, RaftResponse, VersionResponse,
        WatchResponse,
    },
    port::{ClusterSource, PeerSource},
};

/// What a node knows, as the service that others ask.
#[derive(Clone)]
pub struct StatusReports {
    version: String,
    started_at: SystemTime,
    begun: Instant,
    cluster: Option<Arc<dyn ClusterSource>>,
    peers: Option<Arc<dyn PeerSource>>,
}

impl StatusReports {
    /// Of a node that was started just now, and runs this version.
    pub fn new(version: impl Into<String>) -> Self {
        Self {
            version: version.into(),
            started_at: SystemTime::now(),
            begun: Instant::now(),
            cluster: None,
            peers: None,
        }
    }

    /// It belongs to a cluster, of which this knows.
    #[must_use]
    pub fn cluster(mut self, source: impl ClusterSource) -> Self {
        self.cluster = Some(Arc::new(source));
        self
    }

    /// It is connected with peers, of which this knows.
    #[must_use]
    pub fn peers(mut self, source: impl PeerSource) -> Self {
        self.peers = Some(Arc::new(source));
        self
    }

    /// The service, for a router: `Router::new().add(reports.server())`.
    #[must_use]
    pub fn server(&self) -> NodeStatusServer<Self> {
        NodeStatusServer::new(self.clone())
    }

    fn source(&self) -> Result<&Arc<dyn ClusterSource>> {
        self.cluster.as_ref().ok_or_else(|| {
            Status::failed_precondition("this node belongs to no cluster: ask one that does")
        })
    }
}

impl NodeStatus for StatusReports {
    async fn cluster(&self) -> Result<ClusterResponse> {
        self.source()?.cluster()
    }

    async fn raft(&self) -> Result<RaftResponse> {
        self.source()?.raft()
    }

    async fn peers(&self) -> Result<PeersResponse> {
        let source = self.peers.as_ref().ok_or_else(|| {
            Status::failed_precondition("this node knows of no peers: it was started without")
        })?;
        Ok(PeersResponse {
            peers: sorted(&**source),
        })
    }

    async fn version(&self) -> Result<VersionResponse> {
        Ok(VersionResponse {
            version: self.version.clone(),
            started_at: Some(self.started_at),
            uptime: Some(self.begun.elapsed()),
        })
    }

    async fn watch(&self) -> Result<Streaming<WatchResponse>> {
        if self.cluster.is_none() && self.peers.is_none() {
            return self.source().map(|_| Streaming::empty());
        }
        let watching = Watching {
            // Before the first look, so that no change falls between.
            cluster: self.cluster.clone().map(|it| (it.changes(), it)),
            peers: self.peers.clone().map(|it| (it.changes(), it)),
            said: None,
            over: false,
        };
        Ok(Streaming::new(stream::unfold(
            watching,
            |mut watching| async {
                let item = watching.next().await?;
                Some((item, watching))
            },
        )))
    }
}

/// Something that changes.
type Watched<S> = Option<(Streaming<()>, Arc<S>)>;

/// A stream of `Watch`. It holds what was said last, and nothing else.
struct Watching {
    cluster: Watched<dyn ClusterSource>,
    peers: Watched<dyn PeerSource>,
    said: Option<WatchResponse>,
    over: bool,
}

impl Watching {
    async fn next(&mut self) -> Option<Result<WatchResponse>> {
        loop {
            if self.over {
                return None;
            }
            if self.said.is_some() {
                let changed = tokio::select! {
                    changed = changed(&mut self.cluster, "the engine has stopped") => changed,
                    changed = changed(&mut self.peers, "the endpoint was closed") => changed,
                };
                if let Err(status) = changed {
                    return self.end(status);
                }
            }
            match self.look() {
                Ok(now) if self.said.as_ref().is_some_and(|said| is_like(said, &now)) => {}
                Ok(now) => {
                    self.said = Some(now.clone());
                    return Some(Ok(now));
                }
                Err(status) => return self.end(status),
            }
        }
    }

    fn look(&self) -> Result<WatchResponse> {
        let cluster = self.cluster.as_ref().map(|(_, source)| source.cluster());
        let peers = self.peers.as_ref().map(|(_, source)| sorted(&**source));
        Ok(WatchResponse {
            cluster: cluster.transpose()?,
            peers: peers.unwrap_or_default(),
        })
    }

    fn end(&mut self, status: Status) -> Option<Result<WatchResponse>> {
        self.over = true;
        Some(Err(status))
    }
}

/// Waits until something may have changed; where there is nothing, for ever.
async fn changed<S: ?Sized>(watched: &mut Watched<S>, over: &str) -> Result<()> {
    let Some((changes, _)) = watched else {
        return pending().await;
    };
    let changed = changes.next().await;
    changed.unwrap_or_else(|| Err(Status::unavailable(over)))
}

fn is_like(a: &WatchResponse, b: &WatchResponse) -> bool {
    let mut pairs = a.peers.iter().zip(&b.peers);
    a.cluster == b.cluster && a.peers.len() == b.peers.len() && pairs.all(|(a, b)| a.is_like(b))
}

/// By the key of the peer.
fn sorted(source: &dyn PeerSource) -> Vec<PeerConnection> {
    let mut peers = source.peers();
    peers.sort_by(|a, b| a.key.cmp(&b.key));
    peers
}

impl fmt::Debug for StatusReports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusReports")
            .field("version", &self.version)
            .field("cluster", &self.cluster.is_some())
            .field("peers", &self.peers.is_some())
            .finish_non_exhaustive()
    }
}
