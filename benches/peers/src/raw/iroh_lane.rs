//! A coalesced baseline over one bidirectional stream of iroh: the client's half, and how both halves read.

use std::sync::Arc;

use bytes::Bytes;
use iroh::endpoint::{Connection, RecvStream};
use tokio::task::JoinSet;

use super::{Callers, Frames, RawClient};
use crate::Outcome;

/// Chunks taken from the stream at once: about a packet each.
const CHUNKS: usize = 64;

/// Opens the stream of a connection, and starts its writer and its reader.
pub(crate) async fn open(connection: &Connection) -> Outcome<RawClient> {
    let (mut send, mut recv) = connection.open_bi().await?;
    let (callers, mut ends) = (Arc::new(Callers::default()), JoinSet::new());
    ends.spawn({
        let callers = Arc::clone(&callers);
        async move {
            loop {
                send.write_chunk(callers.to_write().await).await?;
            }
        }
    });
    ends.spawn({
        let callers = Arc::clone(&callers);
        async move {
            let mut frames = Frames::default();
            while fill(&mut frames, &mut recv).await? {
                callers.answered(&mut frames);
            }
            Ok(())
        }
    });
    Ok(RawClient::new(callers, ends))
}

/// Takes everything that has arrived; `false` at the end of the stream.
pub(crate) async fn fill(frames: &mut Frames, recv: &mut RecvStream) -> Outcome<bool> {
    let mut chunks = [const { Bytes::new() }; CHUNKS];
    let Some(count) = recv.read_many_chunks(&mut chunks).await? else {
        return Ok(false);
    };
    for chunk in &chunks[..count] {
        frames.buffer.extend_from_slice(chunk);
    }
    Ok(true)
}
