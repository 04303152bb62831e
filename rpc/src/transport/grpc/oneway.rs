//! [`Oneway`]: one-way calls, which are over for their caller when they have begun. gRPC has none: their answer is waited for by a task.

use std::sync::Arc;

use bytes::Bytes;
use tokio::{runtime::Handle, sync::Semaphore};

use crate::{
    call::{Body, Response},
    status::{Result, Status},
};

/// One-way calls that may be in flight at once; the next one is dropped and counted.
const MAX_ONEWAY_IN_FLIGHT: usize = 1024;

/// The one-way calls of a channel.
#[derive(Clone, Debug)]
pub(super) struct Oneway(Arc<Semaphore>);

impl Default for Oneway {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_ONEWAY_IN_FLIGHT)))
    }
}

impl Oneway {
    /// Gives a call that nobody waits for to a task; where there is no runtime to give it one, its caller does wait.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED`, if there are as many in flight as may be.
    pub(super) async fn run(
        &self,
        path: String,
        call: impl Future<Output = Result<Response>> + Send + 'static,
    ) -> Result<Response> {
        let permit = Arc::clone(&self.0).try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!(
                "{path}: {MAX_ONEWAY_IN_FLIGHT} one-way calls are in flight already"
            ))
            .with_not_accepted()
        })?;
        let call = async move {
            if let Err(status) = call.await {
                tracing::debug!(path, %status, "a one-way call failed");
            }
            drop(permit);
        };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(call)),
            Err(_) => call.await,
        }
        Ok(Response::new(Body::one(Bytes::new())))
    }
}
