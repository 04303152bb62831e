//! Whether the peer still answers. QUIC notices a killed peer only when its idle time-out ends; here a Ping does, while calls wait.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, watch as channel},
    time::{Instant, sleep, timeout},
};

use super::{
    client::{MAX_LANES, Shared},
    halves::{CloseCode, Link, Packets},
    lane::Wake,
    writer::put_frame,
};
use crate::{
    method::Priority,
    status::Status,
    wire::{FrameType, RequestId},
};

/// The id of the Ping that opens a lane.
pub(super) const HELLO_ID: RequestId = RequestId(*b"hello\0\x80\0\x80\0\0\0\0\0\0\0");

/// How many times its time a peer may take to answer a Ping while packets come from it.
const PATIENCE: u32 = 10;

/// The share of packets lost, in thousandths, from which on calls are spread over several lanes.
const LOSSY_PERMILLE: u64 = 2;

/// How long calls stay spread after the last loss.
const CALM: Duration = Duration::from_secs(30);

/// How a client finds out that its peer is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LivenessConfig {
    /// How often the peer is asked, while calls wait for it.
    pub interval: Duration,
    /// How long it may take to answer.
    pub timeout: Duration,
}

impl Default for LivenessConfig {
    /// Every second, 3 seconds: a peer that was killed is noticed within 4 seconds.
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(3),
        }
    }
}

/// What is known of the peer's liveness.
pub(super) struct Liveness {
    config: LivenessConfig,
    idle: AtomicBool,
    wake: Notify,
    /// The number of the last Ping.
    asked: AtomicU64,
    pong: channel::Sender<u64>,
    round_trip: Mutex<Option<Duration>>,
}

impl Liveness {
    pub(super) fn new(config: LivenessConfig) -> Self {
        Self {
            config,
            idle: AtomicBool::new(false),
            wake: Notify::new(),
            asked: AtomicU64::new(0),
            pong: channel::Sender::new(0),
            round_trip: Mutex::new(None),
        }
    }

    /// A call begins: the peer must be watched.
    pub(super) fn on_call(&self) {
        if self.idle.load(Ordering::Relaxed) && self.idle.swap(false, Ordering::Relaxed) {
            self.wake.notify_one();
        }
    }

    pub(super) fn on_pong(&self, id: RequestId) {
        // An answer to what was not asked must not answer what will be.
        if let Some(number) =
            ping_number(id).filter(|number| *number <= self.asked.load(Ordering::Relaxed))
        {
            self.pong.send_replace(number);
        }
    }

    /// The last round trip, application to application.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        *self
            .round_trip
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Pings while calls wait, and ends the connection when nothing comes back. An idle connection costs no wake-up.
pub(super) async fn watch<L: Link>(shared: Arc<Shared<L>>) {
    let closed = shared.link.closed();
    tokio::pin!(closed);
    tokio::select! {
        broken = &mut closed => shared.lose(&broken).await,
        status = ping(&shared) => {
            tracing::warn!(peer = %shared.link.peer(), %status, "closing the connection");
            shared.fail(status);
            shared.link.close(CloseCode::Unresponsive, "no answer to a ping");
        }
    }
}

async fn ping<L: Link>(shared: &Arc<Shared<L>>) -> Status {
    let Liveness { config, .. } = shared.liveness;
    let mut pong = shared.liveness.pong.subscribe();
    let mut packets = shared.link.packets();
    let mut last_loss = None;
    for number in 1.. {
        let liveness = &shared.liveness;
        while !shared.is_busy() {
            liveness.idle.store(true, Ordering::SeqCst);
            if !shared.is_busy() {
                liveness.wake.notified().await;
            }
            liveness.idle.store(false, Ordering::SeqCst);
        }
        sleep(config.interval).await;
        if !shared.is_busy() {
            continue;
        }
        spread_over_loss(shared, &mut packets, &mut last_loss);
        // On the lane of the highest priority, which no amount of calls keeps waiting.
        let sent = Instant::now();
        liveness.asked.store(number, Ordering::Relaxed);
        shared
            .lane(Priority::Critical)
            .outbox
            .put(Wake::Now, |out| {
                put_frame(out, FrameType::Ping, None, false, ping_id(number), |_| {});
            });
        let unanswered = wait_for_pong(shared, config, &mut pong, number).await;
        if let Some(after) = unanswered {
            return Status::unavailable(format!(
                "{} has not answered a ping for {after:?}: it is down, frozen or cut off",
                shared.link.peer(),
            ));
        }
        *liveness
            .round_trip
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(sent.elapsed());
    }
    unreachable!("2^64 pings take longer than any machine lasts")
}

/// Waits for the answer to a Ping; answers after how long it was given up.
///
/// A peer from which packets still come is not down: it may be so busy, or the connection so full, that the answer waits. It gets
/// [`PATIENCE`] times as long.
async fn wait_for_pong<L: Link>(
    shared: &Shared<L>,
    config: LivenessConfig,
    pong: &mut channel::Receiver<u64>,
    number: u64,
) -> Option<Duration> {
    let mut waited = Duration::ZERO;
    for _ in 0..PATIENCE {
        let received = shared.link.packets().received;
        let answered = timeout(config.timeout, pong.wait_for(|seen| *seen >= number)).await;
        if answered.is_ok() {
            return None;
        }
        waited += config.timeout;
        if shared.link.packets().received == received {
            break;
        }
    }
    Some(waited)
}

/// One stream is as blocked by a lost packet as TCP is: while packets are lost, calls are spread over several.
fn spread_over_loss<L: Link>(
    shared: &Shared<L>,
    before: &mut Packets,
    last_loss: &mut Option<Instant>,
) {
    let now = shared.link.packets();
    let sent = now.sent.saturating_sub(before.sent);
    let lost = now.lost.saturating_sub(before.lost);
    *before = now;
    let spread = if lost >= 2 && lost * 1000 >= sent * LOSSY_PERMILLE {
        *last_loss = Some(Instant::now());
        MAX_LANES
    } else if last_loss.is_some_and(|at| at.elapsed() < CALM) {
        MAX_LANES
    } else {
        1
    };
    shared.spread.store(spread, Ordering::Relaxed);
}

fn ping_id(number: u64) -> RequestId {
    let mut id = *b"ping\0\0\x80\0\x80\0\0\0\0\0\0\0";
    // Seven bytes are enough for a ping a second, for ever.
    id[9..].copy_from_slice(&number.to_be_bytes()[1..]);
    RequestId(id)
}

fn ping_number(id: RequestId) -> Option<u64> {
    let mut number = [0; 8];
    number[1..].copy_from_slice(&id.0[9..]);
    id.0.starts_with(b"ping\0\0\x80\0\x80")
        .then(|| u64::from_be_bytes(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_is_known_by_its_id() {
        for number in [1, 255, 256, 1 << 40] {
            assert_eq!(ping_number(ping_id(number)), Some(number));
        }
        assert_eq!(ping_number(HELLO_ID), None);
    }
}
