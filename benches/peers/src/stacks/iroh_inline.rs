//! Raw iroh at its best: frames of many calls coalesced on one bidirectional stream, answered inline by the server. The limit.

use bytes::BytesMut;
use iroh::endpoint::Connection;

use crate::{
    Outcome,
    net::{Net, Quic},
    raw::{Frames, RawClient, answer, iroh_lane},
    stack::Stack,
};

pub(crate) struct IrohInline(Quic);

impl Stack for IrohInline {
    type Client = RawClient;

    async fn start(net: Net) -> Outcome<Self> {
        Ok(Self(Quic::serve(net, b"raw/inline", serve).await?))
    }

    async fn connect(&self) -> Outcome<Self::Client> {
        iroh_lane::open(&self.0.connect().await?).await
    }
}

/// All frames of a wake-up are answered with one write.
async fn serve(connection: Connection) -> Outcome<()> {
    let (mut send, mut recv) = connection.accept_bi().await?;
    let (mut frames, mut out) = (Frames::default(), BytesMut::new());
    while iroh_lane::fill(&mut frames, &mut recv).await? {
        while let Some((call, asked, payload)) = frames.next() {
            answer(&mut out, call, asked, &payload);
        }
        if !out.is_empty() {
            send.write_chunk(out.split().freeze()).await?;
        }
    }
    Ok(())
}
