//! Raw iroh as most use it: a bidirectional stream for every call, the server a task for every stream.
//!
//! The first byte says what is asked. An item of a stream is its length (4 bytes) and the payload, many to a write.

use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use iroh::endpoint::{Connection, RecvStream, SendStream};

use crate::{
    Outcome,
    data::{self, HUGE_BYTES, SMALL_BYTES},
    net::{Net, Quic},
    stack::{Client, Stack},
};

pub(crate) struct IrohStreams(Quic);

impl Stack for IrohStreams {
    type Client = Connection;

    async fn start(net: Net) -> Outcome<Self> {
        let serve = |connection: Connection| async move {
            while let Ok((send, recv)) = connection.accept_bi().await {
                tokio::spawn(answer(send, recv));
            }
            Ok(())
        };
        Ok(Self(Quic::serve(net, b"raw/streams", serve).await?))
    }

    async fn connect(&self) -> Outcome<Self::Client> {
        self.0.connect().await
    }
}

const ECHO: u8 = 0;
const UPLOAD: u8 = 1;
const DOWNLOAD: u8 = 2;
const ITEMS: u8 = 3;
const COLLECT: u8 = 4;
const PING_PONG: u8 = 5;

async fn answer(mut send: SendStream, mut recv: RecvStream) -> Outcome<()> {
    let asked = recv.read_chunk(1).await?.ok_or("nothing is asked")?[0];
    match asked {
        ECHO => {
            let payload = recv.read_to_end(HUGE_BYTES).await?;
            send.write_chunk(payload.into()).await?;
        }
        UPLOAD => {
            let count = recv.read_to_end(HUGE_BYTES).await?.len() as u64;
            send.write_all(&count.to_be_bytes()).await?;
        }
        DOWNLOAD => {
            let bytes = recv.read_to_end(8).await?.as_slice().try_get_u64()?;
            send.write_chunk(data::asked(bytes)).await?;
        }
        ITEMS => {
            let count = recv.read_to_end(8).await?.as_slice().try_get_u64()?;
            write_items(&mut send, count).await?;
        }
        COLLECT => {
            let count = read_items(&mut recv).await?;
            send.write_all(&count.to_be_bytes()).await?;
        }
        PING_PONG => {
            let mut items = Items::default();
            while let Some(item) = items.next(&mut recv).await? {
                let mut out = BytesMut::with_capacity(4 + item.len());
                put_item(&mut out, &item);
                send.write_chunk(out.freeze()).await?;
            }
        }
        _ => return Err("no such call".into()),
    }
    send.finish()?;
    Ok(())
}

impl Client for Connection {
    async fn echo(&self, payload: Bytes) -> Outcome<Bytes> {
        call(self, ECHO, payload).await
    }

    async fn upload(&self, payload: Bytes) -> Outcome<u64> {
        Ok(call(self, UPLOAD, payload).await?.try_get_u64()?)
    }

    async fn download(&self, bytes: u64) -> Outcome<Bytes> {
        call(self, DOWNLOAD, number(bytes)).await
    }

    async fn items(&self, count: u64) -> Outcome<u64> {
        let (mut send, mut recv) = self.open_bi().await?;
        send.write_all_chunks(&mut [Bytes::from_static(&[ITEMS]), number(count)])
            .await?;
        send.finish()?;
        read_items(&mut recv).await
    }

    async fn collect(&self, count: u64) -> Outcome<u64> {
        let (mut send, mut recv) = self.open_bi().await?;
        send.write_chunk(Bytes::from_static(&[COLLECT])).await?;
        write_items(&mut send, count).await?;
        send.finish()?;
        Ok(recv.read_to_end(8).await?.as_slice().try_get_u64()?)
    }

    async fn ping_pong(&self, time: Duration) -> Outcome<Vec<Duration>> {
        let (mut send, mut recv) = self.open_bi().await?;
        send.write_chunk(Bytes::from_static(&[PING_PONG])).await?;
        let (mut items, mut times) = (Items::default(), Vec::new());
        let begin = Instant::now();
        while begin.elapsed() < time {
            let sent = Instant::now();
            let mut out = BytesMut::with_capacity(4 + SMALL_BYTES);
            put_item(&mut out, &data::item());
            send.write_chunk(out.freeze()).await?;
            items.next(&mut recv).await?.ok_or("the stream has ended")?;
            times.push(sent.elapsed());
        }
        send.finish()?;
        Ok(times)
    }
}

/// Asks, and reads the answer to its end.
async fn call(connection: &Connection, asked: u8, payload: Bytes) -> Outcome<Bytes> {
    let (mut send, mut recv) = connection.open_bi().await?;
    let head = match asked {
        ECHO => const { Bytes::from_static(&[ECHO]) },
        UPLOAD => const { Bytes::from_static(&[UPLOAD]) },
        _ => const { Bytes::from_static(&[DOWNLOAD]) },
    };
    send.write_all_chunks(&mut [head, payload]).await?;
    send.finish()?;
    Ok(recv.read_to_end(HUGE_BYTES).await?.into())
}

fn number(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

fn put_item(out: &mut BytesMut, item: &[u8]) {
    out.put_u32(u32::try_from(item.len()).unwrap_or(u32::MAX));
    out.put_slice(item);
}

async fn write_items(send: &mut SendStream, count: u64) -> Outcome<()> {
    let (item, mut out) = (data::item(), BytesMut::new());
    for _ in 0..count {
        put_item(&mut out, &item);
        if out.len() >= WRITE_BYTES {
            send.write_chunk(out.split().freeze()).await?;
        }
    }
    Ok(send.write_chunk(out.freeze()).await?)
}

async fn read_items(recv: &mut RecvStream) -> Outcome<u64> {
    let (mut items, mut count) = (Items::default(), 0);
    while let Some(item) = items.next(recv).await? {
        count += u64::from(item.len() == SMALL_BYTES);
    }
    Ok(count)
}

/// Cuts a stream into items.
#[derive(Default)]
struct Items {
    buffer: BytesMut,
}

impl Items {
    async fn next(&mut self, recv: &mut RecvStream) -> Outcome<Option<Bytes>> {
        loop {
            if let Some(mut head) = self.buffer.get(..4) {
                let length = usize::try_from(head.get_u32())?;
                if self.buffer.len() >= 4 + length {
                    self.buffer.advance(4);
                    return Ok(Some(self.buffer.split_to(length).freeze()));
                }
            }
            let mut chunks = [const { Bytes::new() }; CHUNKS];
            let Some(count) = recv.read_many_chunks(&mut chunks).await? else {
                return Ok(None);
            };
            for chunk in &chunks[..count] {
                self.buffer.extend_from_slice(chunk);
            }
        }
    }
}

/// Bytes of items that are written at once.
const WRITE_BYTES: usize = 16 * 1024;
/// Chunks taken from the stream at once.
const CHUNKS: usize = 64;
