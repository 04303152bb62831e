//! [`Beats`]: heartbeats that are answered: one under way, and the newest behind it.

use tokio::sync::oneshot;

/// Heartbeats to one peer: one under way, and the newest behind it.
#[derive(Debug, Default)]
pub(crate) struct Beats {
    under_way: bool,
    waiting: Option<oneshot::Sender<()>>,
}

/// What a heartbeat may do.
#[derive(Debug)]
pub(crate) enum Turn {
    /// It goes now; say [`Beats::done`] afterwards.
    Now,
    /// It goes when it is told so; it is superseded if it is told that nobody will.
    Later(oneshot::Receiver<()>),
}

impl Beats {
    /// One more; whoever waited before is superseded.
    pub(crate) fn join(&mut self) -> Turn {
        if !self.under_way {
            self.under_way = true;
            return Turn::Now;
        }
        let (sender, receiver) = oneshot::channel();
        self.waiting = Some(sender);
        Turn::Later(receiver)
    }

    /// The one under way has ended: the one behind it goes, if it is still there.
    pub(crate) fn done(&mut self) {
        self.under_way = self
            .waiting
            .take()
            .is_some_and(|waiting| waiting.send(()).is_ok());
    }
}
