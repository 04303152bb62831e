//! The question whether a side is there: gRPC's own health check, which every server answers, if only by saying that it has none.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    CallOptions,
    code::Code,
    dispatch::Dispatch,
    iroh_service, message,
    runner::gate::carried_by,
    status::{Result, Status},
};

/// The part of gRPC's health service that is asked.
#[iroh_service(package = "grpc.health.v1")]
pub(super) trait Health {
    /// How the server as a whole is. Critical: the question whether a side is there must not wait for a place among the calls.
    #[rpc(idempotent, priority = "critical")]
    async fn check(&self, request: HealthCheckRequest) -> Result<HealthCheckResponse>;
}

/// Asks for no service: for the server as a whole.
#[message]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HealthCheckRequest {}

#[message]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HealthCheckResponse {
    /// The number of a `ServingStatus`.
    status: u32,
}

/// The server takes no calls: it starts, is broken, or shuts down.
const NOT_SERVING: u32 = 2;

/// Asks; the time that the answer took, or why calls had better not go there. `None` if nothing came in this time.
pub(super) async fn ask(side: impl Dispatch, timeout: Duration) -> Option<Result<Duration>> {
    let client = HealthClient::new(Arc::new(side)).with(CallOptions::new().deadline(timeout));
    let begin = Instant::now();
    Some(match client.check(HealthCheckRequest {}).await {
        Ok(HealthCheckResponse {
            status: NOT_SERVING,
        }) => Err(Status::unavailable("it says that it is not serving")),
        Ok(_) => Ok(begin.elapsed()),
        Err(status) => match status.code() {
            Code::DeadlineExceeded if begin.elapsed() >= timeout => return None,
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled
                if carried_by(&status).is_none() =>
            {
                Err(status)
            }
            // It has no such service, or not for us: it is there.
            _ => Ok(begin.elapsed()),
        },
    })
}
