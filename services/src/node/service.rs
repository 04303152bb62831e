//! [`NodeReports`]: answers for [`Components`]. It only reads.

use std::{
    sync::{Arc, Weak},
    time::{Instant, SystemTime},
};

use blixard_rpc::Result;
use bytes::Bytes;

use super::{
    api::{NodeHealth, NodeHealthServer},
    components::{Components, Shared},
    messages::{CheckResponse, PingResponse, ServingState},
};

/// What [`Components`] say, as the service that others ask.
#[derive(Clone, Debug)]
pub struct NodeReports {
    components: Weak<Shared>,
    begun: Instant,
}

impl Components {
    /// The service, for a router: `Router::new().add(components.server())`. It does not keep the components alive.
    #[must_use]
    pub fn server(&self) -> NodeHealthServer<NodeReports> {
        NodeHealthServer::new(NodeReports {
            components: Arc::downgrade(&self.0),
            begun: self.0.begun(),
        })
    }
}

impl NodeHealth for NodeReports {
    async fn check(&self) -> Result<CheckResponse> {
        let components = self.components.upgrade().map(Components);
        Ok(components.map_or_else(
            || CheckResponse {
                state: ServingState::NotServing,
                reason: "nobody vouches for the node any more: it shuts down".into(),
                ..CheckResponse::default()
            },
            |components| components.view(),
        ))
    }

    async fn ping(&self, payload: Bytes) -> Result<PingResponse> {
        let uptime = self.begun.elapsed();
        Ok(PingResponse {
            payload,
            answered_at: Some(SystemTime::now()),
            uptime_ms: uptime.as_millis().try_into().unwrap_or(u64::MAX),
        })
    }
}
