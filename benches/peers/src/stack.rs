//! What every stack shows to the work: a server that is up, and clients of it.
//!
//! Each stack does these calls as its own documentation has them done. None is told how it is measured.

use std::{future::Future, time::Duration};

use bytes::Bytes;

use crate::{Outcome, net::Net};

/// One stack: its server, and what is needed to connect to it.
pub(crate) trait Stack: Sized + Send + Sync + 'static {
    /// A connection, as one caller has it.
    type Client: Client;

    /// Starts the server.
    fn start(net: Net) -> impl Future<Output = Outcome<Self>> + Send;

    /// Makes a new connection to it.
    fn connect(&self) -> impl Future<Output = Outcome<Self::Client>> + Send;
}

/// What callers ask of a connection. What a stack does not have, says so.
pub(crate) trait Client: Clone + Send + Sync + 'static {
    /// The same bytes again.
    fn echo(&self, payload: Bytes) -> impl Future<Output = Outcome<Bytes>> + Send;

    /// Sends so much, and is told how much came.
    fn upload(&self, payload: Bytes) -> impl Future<Output = Outcome<u64>> + Send;

    /// Asks for so many bytes.
    fn download(&self, bytes: u64) -> impl Future<Output = Outcome<Bytes>> + Send;

    /// Reads a stream of so many items; answers how many came whole.
    fn items(&self, count: u64) -> impl Future<Output = Outcome<u64>> + Send {
        let _ = count;
        async { Err(NO_STREAMS.into()) }
    }

    /// Writes a stream of so many items; answers how many came.
    fn collect(&self, count: u64) -> impl Future<Output = Outcome<u64>> + Send {
        let _ = count;
        async { Err(NO_STREAMS.into()) }
    }

    /// Sends items to and fro on one call, each after the answer to the last, and takes the time of each, until so much time is over.
    fn ping_pong(&self, time: Duration) -> impl Future<Output = Outcome<Vec<Duration>>> + Send {
        let _ = time;
        async { Err(NO_STREAMS.into()) }
    }
}

/// Why a stack is left out of work with streams.
pub(crate) const NO_STREAMS: &str = "it has no streams";
