//! The trait that `grpc.health.v1.Health` is declared with.

use blixard_rpc::{Result, Streaming, iroh_service};

use super::messages::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
};

/// Whether a server is able to handle calls.
/// Its semantics are those of <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>.
#[iroh_service(package = "grpc.health.v1")]
pub trait Health {
    /// How the service is now; the server as a whole, if none is named.
    ///
    /// `NOT_FOUND` if the server does not know the service. Set a deadline: no answer in time is an answer too.
    #[rpc(idempotent, max_message = "4 KiB")]
    async fn check(&self, request: HealthCheckRequest) -> Result<HealthCheckResponse>;

    /// How all services are now, each read for itself.
    ///
    /// `RESOURCE_EXHAUSTED` if there are more than 100. Set a deadline, as for `Check`.
    #[rpc(idempotent)]
    async fn list(&self, request: HealthListRequest) -> Result<HealthListResponse>;

    /// How the service is now, at once, and from then on whenever that changes; the last change always comes.
    ///
    /// A service that the server does not know is `SERVICE_UNKNOWN`, and the stream stays open: it may become known. Whatever
    /// the stream ends with, except `UNIMPLEMENTED`, call again, with back-off.
    #[rpc(idempotent, max_message = "4 KiB")]
    async fn watch(&self, request: HealthCheckRequest) -> Result<Streaming<HealthCheckResponse>>;
}
