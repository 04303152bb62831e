//! Runs a case: a runtime, a connection, and a bound on the time it takes.

use std::time::Duration;

use super::{
    bed::Bed,
    cases,
    harness::{Connected, Queued},
};
use crate::server::Router;

/// Runs the case with this name on a transport: what [`conformance!`](crate::conformance) expands to.
///
/// # Panics
/// If the transport does not pass, or there is no such case.
pub fn run(name: &str, connect: impl AsyncFnOnce(Router) -> Connected) {
    let (_, case) = cases::ALL
        .iter()
        .find(|(known, _)| *known == name)
        .unwrap_or_else(|| panic!("the suite has no case {name:?}"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be built");
    runtime.block_on(async {
        let done = tokio::time::timeout(LIMIT, async {
            let bed = Bed::new(connect).await;
            case(&bed).await;
            if let Queued::Bytes(queues) = &bed.connected.queued {
                let limits = 0..=queues.limit_bytes;
                queues.check(limits.clone(), limits);
            }
        });
        assert!(
            done.await.is_ok(),
            "{name}: the case did not end within {LIMIT:?}"
        );
    });
    // Tasks that a fault left hanging must not keep the test.
    runtime.shutdown_background();
}

/// The names of all cases.
pub fn names() -> impl Iterator<Item = &'static str> {
    cases::ALL.iter().map(|(name, _)| *name)
}

/// How long a case may take: many times what it takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);
