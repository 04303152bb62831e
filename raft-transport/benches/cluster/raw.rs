//! Raw iroh beside which the transport is measured: one stream of items, and one upload.

use std::time::{Duration, Instant};

use blixard_rpc::transport::iroh::transport_config;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use iroh::{
    Endpoint,
    endpoint::{Connection, presets},
};

use crate::Outcome;

/// Both ends of one connection, and the endpoints that must outlive it.
pub(crate) struct Pair {
    from: Connection,
    to: Connection,
    _endpoints: [Endpoint; 2],
}

impl Pair {
    pub(crate) async fn connect() -> Outcome<Self> {
        const ALPN: &[u8] = b"raw";
        let endpoint = || async {
            let builder = Endpoint::builder(presets::Minimal)
                .alpns(vec![ALPN.to_vec()])
                .transport_config(transport_config())
                .clear_ip_transports()
                .bind_addr("127.0.0.1:0")?;
            Outcome::Ok(builder.bind().await?)
        };
        let (here, there) = (endpoint().await?, endpoint().await?);
        let address = there.addr();
        let accepting = tokio::spawn({
            let there = there.clone();
            async move {
                Outcome::Ok(
                    there
                        .accept()
                        .await
                        .ok_or("the endpoint was closed")?
                        .await?,
                )
            }
        });
        let from = here.connect(address, ALPN).await?;
        Ok(Self {
            from,
            to: accepting.await??,
            _endpoints: [here, there],
        })
    }

    /// Items of 64 bytes on one stream, each after its length, as many together as a batch has; how many a second.
    pub(crate) async fn items(&self, time: Duration) -> Outcome<f64> {
        let mut send = self.from.open_uni().await?;
        let until = Instant::now() + time;
        let sending = tokio::spawn(async move {
            let mut out = BytesMut::new();
            while Instant::now() < until {
                for _ in 0..100 {
                    out.put_u32(64);
                    out.put_slice(&[7; 64]);
                }
                send.write_chunk(out.split().freeze()).await?;
            }
            send.finish()?;
            Outcome::Ok(())
        });
        let mut recv = self.to.accept_uni().await?;
        let began = Instant::now();
        let (mut buffer, mut items) = (BytesMut::new(), 0_u64);
        let mut chunks = [const { Bytes::new() }; 64];
        while let Some(count) = recv.read_many_chunks(&mut chunks).await? {
            for chunk in &chunks[..count] {
                buffer.extend_from_slice(chunk);
            }
            while let Some(mut head) = buffer.get(..4) {
                let length = head.get_u32() as usize;
                if buffer.len() < 4 + length {
                    break;
                }
                buffer.advance(4);
                items += u64::from(buffer.split_to(length).freeze().len() == 64);
            }
        }
        sending.await??;
        Ok(items as f64 / began.elapsed().as_secs_f64())
    }

    /// An upload in writes of a MiB, which is read and dropped; bytes a second.
    pub(crate) async fn upload(&self, bytes: u64) -> Outcome<f64> {
        let mut send = self.from.open_uni().await?;
        let began = Instant::now();
        let sending = tokio::spawn(async move {
            let chunk = Bytes::from(vec![7; 1024 * 1024]);
            for _ in 0..bytes / chunk.len() as u64 {
                send.write_chunk(chunk.clone()).await?;
            }
            send.finish()?;
            Outcome::Ok(())
        });
        let mut recv = self.to.accept_uni().await?;
        let mut read = 0;
        let mut chunks = [const { Bytes::new() }; 64];
        while let Some(count) = recv.read_many_chunks(&mut chunks).await? {
            read += chunks[..count].iter().map(Bytes::len).sum::<usize>() as u64;
        }
        sending.await??;
        if read != bytes {
            return Err(format!("{read} of {bytes} bytes came").into());
        }
        Ok(bytes as f64 / began.elapsed().as_secs_f64())
    }
}
