//! [`Connected`]: what the suite must know of a transport. All of it must be said, so that no case goes without.

use std::{any::Any, fmt};

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
    /// How many bytes the connection may hold at once on the client's side, by the names of its limits.
    pub queue_limit_bytes: usize,
    /// How many bytes it has held at most.
    pub peak_queued_bytes: Box<dyn Fn() -> usize + Send + Sync>,
    /// What must live as long as the channel does: the server, the endpoints.
    pub keep: Box<dyn Any + Send + Sync>,
}

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected")
            .field("codec", &self.codec)
            .field("client", &self.client)
            .field("ahead_bytes", &self.ahead_bytes)
            .finish_non_exhaustive()
    }
}
