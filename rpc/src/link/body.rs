//! The messages of one direction of a call as they come out of its stream.

use std::{
    any::Any,
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;

use super::{
    halves::{Broken, RecvHalf, StreamCode},
    reader::{FrameReader, ReadError},
};
use crate::{
    call::{Batch, BodyStream, Codec},
    metadata::Metadata,
    status::{Result, Status},
    wire::{FrameType, Header, ResponseHead, StatusHead, WireError},
};

/// Which side reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

/// Reads messages up to the explicit end of the direction. Nothing is read ahead of what is asked for.
pub(super) struct RecvBody<R: RecvHalf> {
    reader: FrameReader<R>,
    side: Side,
    codec: Codec,
    batch: Batch,
    trailers: Metadata,
    /// Whether there is but one message, which is of no use before the end has come: it counts as partly received until then.
    single: bool,
    ended: bool,
    /// What must live as long as the call does.
    _keep: Box<dyn Any + Send>,
}

impl<R: RecvHalf> RecvBody<R> {
    pub(super) fn new(
        mut reader: FrameReader<R>,
        side: Side,
        codec: Codec,
        single: bool,
        keep: impl Any + Send,
    ) -> Self {
        reader.allow_data();
        Self {
            reader,
            side,
            codec,
            batch: Batch::EMPTY,
            trailers: Metadata::new(),
            single,
            ended: false,
            _keep: Box::new(keep),
        }
    }

    /// What `take` finds in a batch that has arrived, or the end.
    fn poll_messages<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut take: impl FnMut(&mut Batch) -> Option<T>,
    ) -> Poll<Option<Result<T>>> {
        let end = loop {
            if let Some(taken) = take(&mut self.batch) {
                return Poll::Ready(Some(Ok(taken)));
            }
            break match ready!(self.reader.poll_frame(cx)) {
                Ok(Some((header, payload))) => match self.on_frame(header, payload) {
                    Ok(Some(())) => continue,
                    Ok(None) => None,
                    Err(status) => Some(Err(status)),
                },
                Ok(None) => Some(Err(wire_status(self.side, &WireError::Truncated))),
                Err(error) => Some(Err(read_status(self.side, &error))),
            };
        };
        if let Some(Err(_)) = &end {
            self.reader.stop(StreamCode::Protocol);
        }
        self.ended = true;
        Poll::Ready(end)
    }

    fn on_frame(&mut self, header: Header, payload: Bytes) -> Result<Option<()>> {
        match header.kind {
            FrameType::StreamData if header.codec == Some(self.codec) => {
                self.batch = Batch::received(payload).map_err(|e| wire_status(self.side, &e))?;
                if !self.single {
                    self.reader.release();
                }
                Ok(Some(()))
            }
            FrameType::StreamData => Err(wire_status(self.side, &WireError::Malformed("codec"))),
            FrameType::StreamEnd => {
                let head =
                    ResponseHead::decode(&payload).map_err(|e| wire_status(self.side, &e))?;
                self.trailers = head.trailers;
                Ok(None)
            }
            FrameType::Error if self.side == Side::Client => {
                Err(StatusHead::decode(&payload).unwrap_or_else(|e| wire_status(self.side, &e)))
            }
            _ => Err(wire_status(
                self.side,
                &WireError::Unexpected("frame in a call's stream"),
            )),
        }
    }
}

impl<R: RecvHalf> BodyStream for RecvBody<R> {
    fn poll_message(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        self.get_mut().poll_messages(cx, Iterator::next)
    }

    fn poll_batch(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Batch>>> {
        self.get_mut().poll_messages(cx, |batch| {
            let batch = mem::take(batch);
            (!batch.is_empty()).then_some(batch)
        })
    }

    fn trailers(self: Pin<&mut Self>) -> Metadata {
        mem::take(&mut self.get_mut().trailers)
    }
}

impl<R: RecvHalf> Drop for RecvBody<R> {
    fn drop(&mut self) {
        if !self.ended {
            // A client that drops a response has lost interest in the call; a server only in the rest of the request.
            self.reader.stop(match self.side {
                Side::Client => StreamCode::Cancelled,
                Side::Server => StreamCode::Done,
            });
        }
    }
}

impl<R: RecvHalf> fmt::Debug for RecvBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvBody").finish_non_exhaustive()
    }
}

/// The status of a call whose stream could not be read on.
pub(super) fn read_status(side: Side, error: &ReadError) -> Status {
    match error {
        ReadError::Wire(error) => wire_status(side, error),
        ReadError::Broken(broken) => broken_status(side, broken),
    }
}

/// The status of a call that was answered with bytes that break the protocol.
pub(super) fn wire_status(side: Side, error: &WireError) -> Status {
    let who = match side {
        Side::Client => "the server",
        Side::Server => "the client",
    };
    match error {
        WireError::TooLarge { .. } => Status::resource_exhausted(format!("{who} sent a {error}")),
        WireError::Truncated if side == Side::Server => {
            Status::cancelled("the client ended its messages without saying so")
        }
        WireError::Truncated => {
            Status::unavailable("the server ended the call without an explicit end")
        }
        _ => Status::internal(format!("{who} broke the protocol: {error}")),
    }
}

/// The status of a call whose stream or connection is gone.
pub(super) fn broken_status(side: Side, broken: &Broken) -> Status {
    match (side, broken) {
        (Side::Server, Broken::Stream(_)) => Status::cancelled("the client cancelled the call"),
        (Side::Client, Broken::Stream(code)) => {
            Status::unavailable(format!("the server cut the call's stream with code {code}"))
        }
        (_, broken) => Status::unavailable(broken.to_string()),
    }
    .with_source(broken.clone())
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use bytes::BytesMut;

    use super::*;
    use crate::{
        call::Body,
        code::Code,
        link::{budget::Budget, writer::put_frame},
        wire::{RequestId, put_length},
    };

    /// What arrives, in so many pieces.
    struct Arrived(Vec<Bytes>);

    impl RecvHalf for Arrived {
        fn poll_read(
            &mut self,
            _: &mut Context<'_>,
            chunks: &mut [Bytes],
        ) -> Poll<Result<usize, Broken>> {
            let Some(chunk) = self.0.pop() else {
                return Poll::Ready(Ok(0));
            };
            chunks[0] = chunk;
            Poll::Ready(Ok(1))
        }

        fn stop(&mut self, _: StreamCode) {}
    }

    fn put(out: &mut BytesMut, kind: FrameType, messages: &[&[u8]]) {
        let codec = (kind == FrameType::StreamData).then_some(Codec::Postcard);
        put_frame(out, kind, codec, false, RequestId([1; 16]), |out| {
            for message in messages {
                put_length(message.len(), out);
                out.extend_from_slice(message);
            }
        });
    }

    #[tokio::test]
    async fn messages_keep_their_order_however_they_arrive_and_are_asked_for() {
        let large = vec![7; 70_000];
        let frames: [&[&[u8]]; 6] = [
            &[b"a", b"b", b"c"],
            &[],
            &[&large],
            &[b""],
            &[b"d", b"", b"e", b"f"],
            &[b"g", b"h"],
        ];
        let mut sent = BytesMut::new();
        for messages in frames {
            put(&mut sent, FrameType::StreamData, messages);
        }
        put(&mut sent, FrameType::StreamEnd, &[]);
        let (sent, messages) = (sent.freeze(), frames.concat());
        for (pieces, together) in [19, 1000, 1 << 20]
            .into_iter()
            .flat_map(|pieces| (0..8).map(move |together| (pieces, together)))
        {
            let mut arrived: Vec<_> = sent.chunks(pieces).map(|it| sent.slice_ref(it)).collect();
            arrived.reverse();
            let reader = FrameReader::new(Arrived(arrived), Budget::new(|_| {}));
            let body = RecvBody::new(reader, Side::Client, Codec::Postcard, false, ());
            let (mut body, mut got) = (Body::stream(body), Vec::new());
            for turn in 0.. {
                if together >> (turn % 3) & 1 == 1 {
                    match poll_fn(|cx| body.poll_batch(cx)).await {
                        Some(batch) => got.extend(batch.unwrap()),
                        None => break,
                    }
                } else {
                    match body.next().await {
                        Some(message) => got.push(message.unwrap()),
                        None => break,
                    }
                }
            }
            assert!(
                got == messages,
                "in {pieces} bytes, asked as {together:03b}"
            );
        }
    }

    #[tokio::test]
    async fn what_is_wrong_behind_messages_is_said_behind_them() {
        let mut sent = BytesMut::new();
        put(&mut sent, FrameType::StreamData, &[b"a", b"b"]);
        put(&mut sent, FrameType::Ping, &[]);
        let reader = FrameReader::new(Arrived(vec![sent.freeze()]), Budget::new(|_| {}));
        let body = RecvBody::new(reader, Side::Client, Codec::Postcard, false, ());
        let mut body = Body::stream(body);
        let batch = poll_fn(|cx| body.poll_batch(cx)).await.unwrap().unwrap();
        assert_eq!(batch.collect::<Vec<_>>(), ["a", "b"]);
        let status = poll_fn(|cx| body.poll_batch(cx)).await.unwrap();
        assert_eq!(status.unwrap_err().code(), Code::Internal);
        assert!(poll_fn(|cx| body.poll_batch(cx)).await.is_none());
    }
}
