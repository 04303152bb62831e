//! Raw iroh as most use it: a bidirectional stream for every call, the server a task for every stream.

use bytes::Bytes;

use crate::net::{Outcome, PAYLOAD_BYTES, Pair, pair};

/// Connects and starts the server.
pub(crate) async fn start() -> Outcome<Pair> {
    let pair = pair(b"raw/streams").await?;
    let server = pair.server.clone();
    tokio::spawn(async move {
        while let Ok((mut send, mut recv)) = server.accept_bi().await {
            tokio::spawn(async move {
                let payload = recv.read_to_end(PAYLOAD_BYTES).await?;
                send.write_chunk(payload.into()).await?;
                send.finish()?;
                Outcome::Ok(())
            });
        }
    });
    Ok(pair)
}

/// One call.
pub(crate) async fn echo(
    connection: &iroh::endpoint::Connection,
    payload: Bytes,
) -> Outcome<Vec<u8>> {
    let (mut send, mut recv) = connection.open_bi().await?;
    send.write_chunk(payload).await?;
    send.finish()?;
    Ok(recv.read_to_end(PAYLOAD_BYTES).await?)
}
