//! Raw iroh with much data: a stream of items from server to client, and uploads of 1 MiB.
//!
//! An item is its length (4 bytes) and the payload, many to a write. An upload is a stream of its own; the server answers it with
//! the number of bytes that it has read.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use iroh::endpoint::Connection;

use crate::net::{ITEMS, Outcome, PAYLOAD_BYTES, Pair, UPLOAD_BYTES, pair};

/// Bytes of items that are written at once.
const WRITE_BYTES: usize = 16 * 1024;
/// Chunks taken from the stream at once.
const CHUNKS: usize = 64;

/// Connects two endpoints and answers each stream with `ITEMS` items.
pub(crate) async fn start_items() -> Outcome<Pair> {
    let pair = pair(b"raw/items").await?;
    let server = pair.server.clone();
    tokio::spawn(async move {
        while let Ok((mut send, _recv)) = server.accept_bi().await {
            tokio::spawn(async move {
                let (item, mut out) = ([7; PAYLOAD_BYTES], BytesMut::new());
                for _ in 0..ITEMS {
                    out.put_u32(PAYLOAD_BYTES as u32);
                    out.put_slice(&item);
                    if out.len() >= WRITE_BYTES {
                        send.write_chunk(out.split().freeze()).await?;
                    }
                }
                send.write_chunk(out.freeze()).await?;
                send.finish()?;
                Outcome::Ok(())
            });
        }
    });
    Ok(pair)
}

/// Reads all items of one stream; answers how many there were.
pub(crate) async fn items(connection: &Connection) -> Outcome<usize> {
    let (mut send, mut recv) = connection.open_bi().await?;
    send.write_chunk(Bytes::from_static(b"go")).await?;
    send.finish()?;
    let (mut buffer, mut items) = (BytesMut::new(), 0);
    let mut chunks = [const { Bytes::new() }; CHUNKS];
    while let Some(count) = recv.read_many_chunks(&mut chunks).await? {
        for chunk in &chunks[..count] {
            buffer.extend_from_slice(chunk);
        }
        while let Some(mut head) = buffer.get(..4) {
            let length = usize::try_from(head.get_u32())?;
            if buffer.len() < 4 + length {
                break;
            }
            buffer.advance(4);
            let item = buffer.split_to(length).freeze();
            items += usize::from(item.len() == PAYLOAD_BYTES);
        }
    }
    Ok(items)
}

/// Connects two endpoints and takes uploads.
pub(crate) async fn start_uploads() -> Outcome<Pair> {
    let pair = pair(b"raw/uploads").await?;
    let server = pair.server.clone();
    tokio::spawn(async move {
        while let Ok((mut send, mut recv)) = server.accept_bi().await {
            tokio::spawn(async move {
                let message = recv.read_to_end(UPLOAD_BYTES).await?;
                send.write_all(&(message.len() as u64).to_be_bytes())
                    .await?;
                send.finish()?;
                Outcome::Ok(())
            });
        }
    });
    Ok(pair)
}

/// One upload.
pub(crate) async fn upload(connection: &Connection, message: Bytes) -> Outcome<()> {
    let (mut send, mut recv) = connection.open_bi().await?;
    let expected = (message.len() as u64).to_be_bytes();
    send.write_chunk(message).await?;
    send.finish()?;
    if recv.read_to_end(expected.len()).await? == expected {
        Ok(())
    } else {
        Err("the server did not read all of the upload".into())
    }
}
