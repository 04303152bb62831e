//! [`Alive`]: asks a peer from time to time whether it is there.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use h2::{Ping, PingPong};
use tokio::time::{Instant, Sleep, sleep};

use super::config::KeepAlive;

/// Asks from time to time whether the peer is there.
pub(super) struct Alive {
    config: KeepAlive,
    pings: PingPong,
    /// When to ask next, or until when the answer must be there.
    timer: Pin<Box<Sleep>>,
    asked: bool,
}

impl Alive {
    pub(super) fn new(config: KeepAlive, pings: PingPong) -> Self {
        Self {
            config,
            pings,
            timer: Box::pin(sleep(config.interval)),
            asked: false,
        }
    }

    /// Resolves when the peer has not answered in time.
    pub(super) async fn lost(this: &mut Option<Self>) {
        match this {
            Some(this) => poll_fn(|cx| this.poll_lost(cx)).await,
            None => std::future::pending().await,
        }
    }

    pub(super) fn poll_lost(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.asked && self.pings.poll_pong(cx).is_ready() {
                self.asked = false;
                self.wait(self.config.interval);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if self.asked {
                return Poll::Ready(());
            }
            // Fails on a connection that ends, which is seen elsewhere.
            self.asked = self.pings.send_ping(Ping::opaque()).is_ok();
            self.wait(self.config.timeout);
        }
    }

    fn wait(&mut self, time: Duration) {
        self.timer.as_mut().reset(Instant::now() + time);
    }
}
