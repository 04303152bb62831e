//! The driver of concurrent callers. What they call is not known here.

use std::{
    error::Error,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::measure::{Clock, Sample};

pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Keeps `in_flight` callers, one task each, calling for `time`; each awaits its answer before it calls again.
pub(crate) async fn drive<C, F>(call: C, in_flight: usize, time: Duration) -> Outcome<Sample>
where
    C: Fn() -> F + Clone + Send + 'static,
    F: Future<Output = Outcome<()>> + Send,
{
    let stop = Arc::new(AtomicBool::new(false));
    let clock = Clock::start();
    let callers: Vec<_> = (0..in_flight)
        .map(|_| {
            let (call, stop) = (call.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut times = Vec::with_capacity(1024);
                while !stop.load(Ordering::Relaxed) {
                    let begin = Instant::now();
                    call().await?;
                    times.push(begin.elapsed());
                }
                Outcome::Ok(times)
            })
        })
        .collect();
    tokio::time::sleep(time).await;
    stop.store(true, Ordering::Relaxed);
    let mut times = Vec::new();
    for caller in callers {
        times.append(&mut caller.await??);
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 calls")]
    let mut sample = clock.stop(times.len() as f64);
    times.sort_unstable();
    sample.p50 = times.get(times.len() / 2).copied();
    Ok(sample)
}
