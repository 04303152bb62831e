//! [`StatusReports`]: answers by what its sources know.

use std::{
    fmt,
    sync::Arc,
    time::{Instant, SystemTime},
};

use blixard_rpc::{Result, Status, Streaming};
use futures_util::stream;

use super::{
    api::{NodeStatus, NodeStatusServer},
    messages::{ClusterResponse, PeersResponse, RaftResponse, VersionResponse, WatchResponse},
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
        let mut peers = source.peers();
        peers.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(PeersResponse { peers })
    }

    async fn version(&self) -> Result<VersionResponse> {
        Ok(VersionResponse {
            version: self.version.clone(),
            started_at: Some(self.started_at),
            uptime: Some(self.begun.elapsed()),
        })
    }

    async fn watch(&self) -> Result<Streaming<WatchResponse>> {
        let source = Arc::clone(self.source()?);
        let watching = Watching {
            // Before the first look, so that no change falls between.
            changes: source.changes(),
            source,
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

/// A stream of `Watch`. It holds what was said last, and nothing else.
struct Watching {
    source: Arc<dyn ClusterSource>,
    changes: Streaming<()>,
    said: Option<ClusterResponse>,
    over: bool,
}

impl Watching {
    async fn next(&mut self) -> Option<Result<WatchResponse>> {
        loop {
            if self.over {
                return None;
            }
            if self.said.is_some() {
                match self.changes.next().await {
                    Some(Ok(())) => {}
                    Some(Err(status)) => return self.end(status),
                    None => return self.end(Status::unavailable("the engine has stopped")),
                }
            }
            match self.source.cluster() {
                Ok(cluster) if self.said.as_ref() == Some(&cluster) => {}
                Ok(cluster) => {
                    self.said = Some(cluster.clone());
                    return Some(Ok(WatchResponse { cluster }));
                }
                Err(status) => return self.end(status),
            }
        }
    }

    fn end(&mut self, status: Status) -> Option<Result<WatchResponse>> {
        self.over = true;
        Some(Err(status))
    }
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
