//! [`patiently`]: a time-out that counts only while this process runs.

use std::{pin::pin, time::Duration};

use tokio::time::timeout;

/// Waits so long for this, and `None` if it did not come.
///
/// A node that was suspended, and QEMU with it, has used up one part of the time and not all of it: the process is not to blame.
pub(super) async fn patiently<F: Future>(time: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..PARTS {
        if let Ok(done) = timeout(time / PARTS, &mut future).await {
            return Some(done);
        }
    }
    None
}

const PARTS: u32 = 20;

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test]
    async fn what_comes_after_everything_stood_still_still_counts() {
        let patience = Duration::from_millis(200);
        let late = async {
            sleep(patience / PARTS / 2).await;
            // As if all had been suspended.
            std::thread::sleep(patience * 2);
            sleep(patience / 10).await;
        };
        assert_eq!(patiently(patience, late).await, Some(()));
        let never = std::future::pending::<()>();
        assert_eq!(patiently(patience, never).await, None);
    }
}
