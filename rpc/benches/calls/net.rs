//! What all subjects share: endpoints on loopback, the transport's settings, and the driver of concurrent callers.
//!
//! Nothing here may favour one of them.

use std::{
    error::Error,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use blixard_rpc::transport::iroh::transport_config;
use iroh::{
    Endpoint, EndpointAddr,
    endpoint::{Connection, presets},
};

use crate::measure::{Clock, Sample};

pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The payload of a small call.
pub(crate) const PAYLOAD_BYTES: usize = 64;
/// The payload of an upload.
pub(crate) const UPLOAD_BYTES: usize = 1024 * 1024;
/// Uploads in flight.
pub(crate) const UPLOADS: usize = 8;
/// Items of one measured stream.
pub(crate) const ITEMS: usize = 200_000;
/// An endpoint on loopback that answers `alpn`, with the settings of QUIC that blixard-rpc wants: enough streams that none of the
/// calls in flight waits for one, wide windows, segmentation offload on.
pub(crate) async fn endpoint(alpn: &[u8]) -> Outcome<Endpoint> {
    Ok(Endpoint::builder(presets::Minimal)
        .alpns(vec![alpn.to_vec()])
        .transport_config(transport_config())
        .clear_ip_transports()
        .bind_addr("127.0.0.1:0")?
        .bind()
        .await?)
}

/// Both ends of one connection over real QUIC, and the endpoints that must outlive it.
pub(crate) struct Pair {
    pub client: Connection,
    pub server: Connection,
    _endpoints: [Endpoint; 2],
}

/// Connects two new endpoints.
pub(crate) async fn pair(alpn: &'static [u8]) -> Outcome<Pair> {
    let (here, there) = (endpoint(alpn).await?, endpoint(alpn).await?);
    let address: EndpointAddr = there.addr();
    let accept = tokio::spawn({
        let there = there.clone();
        async move {
            let incoming = there.accept().await.ok_or("the endpoint was closed")?;
            Outcome::Ok(incoming.await?)
        }
    });
    let client = here.connect(address, alpn).await?;
    Ok(Pair {
        client,
        server: accept.await??,
        _endpoints: [here, there],
    })
}

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
