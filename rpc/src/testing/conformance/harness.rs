//! [`Connected`]: what the suite must know of a transport. All of it must be said, so that no case goes without.

use std::{any::Any, fmt, ops::RangeInclusive};

use crate::{call::Peer, codec::Codec, dispatch::Channel};

/// A router that is served, and a client that is connected to it: what each case of the suite begins with.
pub struct Connected {
    /// Calls go in here.
    pub channel: Channel,
    /// In which codec calls travel when both sides have the same schema.
    pub codec: Codec,
    /// As whom handlers see the client.
    pub client: Peer,
    /// How many bytes of one stream its sender may be ahead of a reader who does not read: the windows below, by their names.
    pub ahead_bytes: usize,
    /// What of messages it queues between the two.
    pub queued: Queued,
    /// What must live as long as the channel does: the server, the endpoints.
    pub keep: Box<dyn Any + Send + Sync>,
}

/// What of messages a transport holds: made and not yet sent, or partly received. What lies in its windows is no part of it.
#[derive(Debug)]
pub enum Queued {
    /// Nothing, and why. Then no writer is ahead of its reader by more than the message in hand.
    Nothing(&'static str),
    /// Nobody can say, and why. Then only how far writers are ahead is known.
    Unknown(&'static str),
    /// As much as it says on each side, within its limits.
    Bytes(Queues),
}

/// What both sides of a connection queue, and may queue.
pub struct Queues {
    /// How many bytes each side may queue at once, by the names of the transport's limits.
    pub limit_bytes: usize,
    /// How many bytes of it one call may queue whose messages are small.
    pub call_limit_bytes: usize,
    /// How many bytes of it may be of large messages that are being sent.
    pub sent_limit_bytes: usize,
    /// How many bytes of it may be of large messages that are partly received.
    pub received_limit_bytes: usize,
    /// How many bytes the client's side has queued at most.
    pub client_peak_bytes: Box<dyn Fn() -> usize + Send + Sync>,
    /// How many bytes the server's side has queued at most.
    pub server_peak_bytes: Box<dyn Fn() -> usize + Send + Sync>,
}

impl Queues {
    /// That the client's side has queued a number of bytes within the first range, and the server's within the second.
    ///
    /// # Panics
    /// If one has not.
    pub(super) fn check(&self, client: RangeInclusive<usize>, server: RangeInclusive<usize>) {
        let (client_peak, server_peak) = ((self.client_peak_bytes)(), (self.server_peak_bytes)());
        for (side, peak, range) in [
            ("client", client_peak, client),
            ("server", server_peak, server),
        ] {
            assert!(
                range.contains(&peak),
                "the {side} has queued {peak} bytes at most, and it should be {range:?}"
            );
        }
    }
}

impl fmt::Debug for Queues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queues")
            .field("limit_bytes", &self.limit_bytes)
            .field("client_peak_bytes", &(self.client_peak_bytes)())
            .field("server_peak_bytes", &(self.server_peak_bytes)())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected")
            .field("codec", &self.codec)
            .field("client", &self.client)
            .field("ahead_bytes", &self.ahead_bytes)
            .field("queued", &self.queued)
            .finish_non_exhaustive()
    }
}
