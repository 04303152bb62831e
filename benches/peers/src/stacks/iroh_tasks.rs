//! Raw iroh as a server with handlers would have it: frames coalesced on one bidirectional stream, a task for each call.

use bytes::{Bytes, BytesMut};
use iroh::endpoint::Connection;
use tokio::sync::mpsc;

use crate::{
    Outcome,
    net::{Net, Quic},
    raw::{Asked, Frames, RawClient, answer, iroh_lane},
    stack::Stack,
};

pub(crate) struct IrohTasks(Quic);

impl Stack for IrohTasks {
    type Client = RawClient;

    async fn start(net: Net) -> Outcome<Self> {
        Ok(Self(Quic::serve(net, b"raw/tasks", serve).await?))
    }

    async fn connect(&self) -> Outcome<Self::Client> {
        iroh_lane::open(&self.0.connect().await?).await
    }
}

/// Each call is a task, and one more writes what they have answered.
async fn serve(connection: Connection) -> Outcome<()> {
    let (mut send, mut recv) = connection.accept_bi().await?;
    let (answers, mut to_write) = mpsc::unbounded_channel::<(u64, Asked, Bytes)>();
    tokio::spawn(async move {
        let (mut batch, mut out) = (Vec::new(), BytesMut::new());
        while to_write.recv_many(&mut batch, BATCH).await > 0 {
            for (call, asked, payload) in batch.drain(..) {
                answer(&mut out, call, asked, &payload);
            }
            send.write_chunk(out.split().freeze()).await?;
        }
        Outcome::Ok(())
    });
    let mut frames = Frames::default();
    while iroh_lane::fill(&mut frames, &mut recv).await? {
        while let Some(frame) = frames.next() {
            let answers = answers.clone();
            tokio::spawn(async move {
                // Without a writer the connection is gone.
                let _ = answers.send(frame);
            });
        }
    }
    Ok(())
}

/// Answers that are written at once.
const BATCH: usize = 1024;
