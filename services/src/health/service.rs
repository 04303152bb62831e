//! [`HealthReports`]: answers for a [`Reporter`]. It only reads.

use std::sync::Arc;

use blixard_rpc::{Result, Status, Streaming};
use futures_util::stream;
use tokio::sync::watch;

use super::{
    api::{Health, HealthServer},
    messages::{
        HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
        ServingStatus,
    },
    reporter::{self, Reporter},
};

/// The most services that `List` answers with: `health.proto` lets a server refuse more, and others draw the line here too.
pub const MAX_LISTED: usize = 100;

/// What a [`Reporter`] says, as the service that others ask.
#[derive(Clone, Debug)]
pub struct HealthReports(Arc<watch::Sender<reporter::Health>>);

impl Reporter {
    /// The service, for a router: `Router::new().add(reporter.server())`. It does not keep the reporter alive.
    #[must_use]
    pub fn server(&self) -> HealthServer<HealthReports> {
        HealthServer::new(HealthReports(Arc::clone(self.health())))
    }
}

impl Health for HealthReports {
    async fn check(&self, request: HealthCheckRequest) -> Result<HealthCheckResponse> {
        let service = request.service;
        match self.0.borrow().of(&service) {
            Some(status) => Ok(HealthCheckResponse { status }),
            None => Err(Status::not_found(format!(
                "nothing is known of the health of a service named {service:?}"
            ))),
        }
    }

    async fn list(&self, _: HealthListRequest) -> Result<HealthListResponse> {
        let health = self.0.borrow();
        let all = health.all();
        if all.len() > MAX_LISTED {
            return Err(Status::resource_exhausted(format!(
                "{} services are more than the {MAX_LISTED} that can be listed: check or watch those of interest",
                all.len()
            )));
        }
        let statuses = all
            .map(|(service, status)| (service.to_owned(), HealthCheckResponse { status }))
            .collect();
        Ok(HealthListResponse { statuses })
    }

    async fn watch(&self, request: HealthCheckRequest) -> Result<Streaming<HealthCheckResponse>> {
        let watching = Watching {
            health: self.0.subscribe(),
            service: request.service,
            said: None,
        };
        Ok(Streaming::new(stream::unfold(
            watching,
            |mut watching| async {
                let status = watching.next().await?;
                Some((Ok(HealthCheckResponse { status }), watching))
            },
        )))
    }
}

/// A stream of `Watch`. It holds what was said last, and nothing else: a slow reader gets the newest status, however many
/// changes it has missed.
struct Watching {
    health: watch::Receiver<reporter::Health>,
    service: String,
    said: Option<ServingStatus>,
}

impl Watching {
    async fn next(&mut self) -> Option<ServingStatus> {
        loop {
            let (status, is_final) = {
                let health = self.health.borrow_and_update();
                let status = health.of(&self.service);
                (
                    status.unwrap_or(ServingStatus::ServiceUnknown),
                    health.is_final(),
                )
            };
            if self.said != Some(status) {
                self.said = Some(status);
                return Some(status);
            }
            if is_final {
                return None;
            }
            // If the service is gone with its reporter, nothing will change any more.
            self.health.changed().await.ok()?;
        }
    }
}
