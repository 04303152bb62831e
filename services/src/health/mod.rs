//! `grpc.health.v1.Health`: whether a server, or one of its services, is ready for calls; the
//! [standard protocol](https://github.com/grpc/grpc/blob/master/doc/health-checking.md), so that what speaks it elsewhere speaks it
//! here.
//!
//! ```
//! use blixard_rpc::{Channel, Memory, Router};
//! use blixard_services::health::{Health, HealthCheckRequest, HealthClient, Reporter, ServingStatus};
//!
//! # async fn run() -> blixard_rpc::Result<()> {
//! let reporter = Reporter::new();
//! let router = Router::new().add(reporter.server()); // beside the services that it speaks of
//! reporter.set_serving("demo.v1.Greeter");
//!
//! let client = HealthClient::new(Channel::new(Memory::new(router)));
//! let request = HealthCheckRequest { service: "demo.v1.Greeter".into() };
//! assert_eq!(client.check(request).await?.status, ServingStatus::Serving);
//!
//! reporter.shutdown(); // before the server's own: callers go elsewhere while calls in flight end
//! # Ok(())
//! # }
//! # let waker = std::task::Waker::noop();
//! # let polled = std::pin::pin!(run()).poll(&mut std::task::Context::from_waker(waker));
//! # assert!(matches!(polled, std::task::Poll::Ready(Ok(()))));
//! ```

mod api;
mod messages;
mod reporter;
mod service;

pub use api::{Health, HealthClient, HealthServer, HealthService};
pub use messages::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse, ServingStatus,
};
pub use reporter::Reporter;
pub use service::{HealthReports, MAX_LISTED};
