//! The server half of a lane: each Request is polled once on the spot, and only if it must wait becomes a task.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::time::timeout;

use super::{
    budget::MAX_LANE_QUEUE_BYTES,
    client::HEAD_ROOM_BYTES,
    halves::{Broken, Link, SendHalf, StreamCode},
    lane::{Frames, LaneEnd, Outbox, Pump, Wake},
    liveness::HELLO_ID,
    reader::{FrameReader, ReadError},
    serve::{Active, Handling, Server, set_priority, too_many_trailers},
    serve_stream,
    writer::{CallWriter, put_frame},
};
use crate::{
    call::{Body, Codec, Response},
    dispatch::Dispatch,
    method::Priority,
    observe,
    status::{Result, Status},
    wire::{
        self, FrameType, Header, Hello, RequestHead, RequestId, ResponseHead, StatusHead,
        WireError, limits::MAX_HEAD_BYTES,
    },
};

/// How long a lane that was ended waits for the peer to have everything.
const LINGER: Duration = Duration::from_secs(2);

pub(super) async fn serve<L: Link, D: Dispatch>(
    server: Arc<Server<L, D>>,
    send: L::Send,
    reader: FrameReader<L::Recv>,
    ping: RequestId,
    priority: Priority,
) {
    let mut send = Unfinished::new(send);
    set_priority(&mut send, priority);
    let outbox = Outbox::new(server.budget.clone());
    if let Err(error) = server.add_lane(&outbox) {
        return server.break_protocol(&error);
    }
    outbox.put(Wake::Now, |out| put_pong(out, ping, Some(&server.hello())));
    let requests = Requests {
        server: Arc::clone(&server),
        outbox: Arc::clone(&outbox),
        answers: BytesMut::new(),
        priority,
    };
    let mut pump = Pump::new(send, reader, outbox, requests);
    match pump.run().await {
        LaneEnd::Finished => {
            pump.send.finish();
            if timeout(LINGER, pump.send.stopped()).await.is_err() {
                server.lost_answers();
            }
        }
        LaneEnd::Failed(ReadError::Wire(error)) => server.break_protocol(&error),
        LaneEnd::Failed(ReadError::Broken(_)) => {}
    }
}

/// A lane's writing half. Dropped before it is finished, such as by a panic, it is reset: an end without an answer would tell the
/// client that its calls were not begun.
struct Unfinished<S: SendHalf> {
    half: S,
    finished: bool,
}

impl<S: SendHalf> Unfinished<S> {
    fn new(half: S) -> Self {
        Self {
            half,
            finished: false,
        }
    }
}

impl<S: SendHalf> SendHalf for Unfinished<S> {
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        chunks: &mut &mut [Bytes],
    ) -> Poll<Result<(), Broken>> {
        self.half.poll_write(cx, chunks)
    }

    fn set_priority(&mut self, priority: i32) {
        self.half.set_priority(priority);
    }

    fn finish(&mut self) {
        self.finished = true;
        self.half.finish();
    }

    fn reset(&mut self, code: StreamCode) {
        self.finished = true;
        self.half.reset(code);
    }

    fn stopped(&mut self) -> impl Future<Output = ()> + Send + 'static {
        self.half.stopped()
    }
}

impl<S: SendHalf> Drop for Unfinished<S> {
    fn drop(&mut self) {
        if !self.finished {
            self.half.reset(StreamCode::Protocol);
        }
    }
}

/// Appends a Pong, with a hello if there is one to tell.
pub(super) fn put_pong(out: &mut BytesMut, id: RequestId, hello: Option<&Hello>) {
    put_frame(out, FrameType::Pong, None, false, id, |out| {
        if let Some(hello) = hello {
            hello.encode(out);
        }
    });
}

struct Requests<L: Link, D> {
    server: Arc<Server<L, D>>,
    outbox: Arc<Outbox>,
    answers: BytesMut,
    priority: Priority,
}

impl<L: Link, D: Dispatch> Frames for Requests<L, D> {
    /// While answers pile up, because the client does not read them, no more requests are taken.
    fn ready(&self) -> bool {
        !self.outbox.is_full() && self.answers.len() < MAX_LANE_QUEUE_BYTES
    }

    /// The answers of handlers that did not wait go to the queue together.
    fn on_pause(&mut self) {
        if !self.answers.is_empty() {
            self.outbox
                .put(Wake::Never, |out| out.extend_from_slice(&self.answers));
            self.answers.clear();
        }
    }

    fn on_frame(&mut self, header: Header, payload: &[u8]) -> Result<(), ReadError> {
        match (header.kind, header.codec) {
            (FrameType::Request, Some(codec)) => self.on_request(header, codec, payload)?,
            (FrameType::Error, _) => self.server.cancel(header.id),
            (FrameType::Ping, _) if header.id != HELLO_ID => {
                self.outbox
                    .put(Wake::Never, |out| put_pong(out, header.id, None));
            }
            _ => return Err(WireError::Unexpected("frame type from a client on a lane").into()),
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.server.is_drained()
    }
}

impl<L: Link, D: Dispatch> Requests<L, D> {
    fn on_request(
        &mut self,
        header: Header,
        codec: Codec,
        payload: &[u8],
    ) -> Result<(), WireError> {
        let id = header.id;
        let refusal = self.server.refusal_of(id)?;
        let (head, message) = wire::split_call(payload)?;
        let head = RequestHead::decode(head)?;
        if let Some(status) = refusal {
            if header.oneway {
                observe::oneway_dropped(self.server.path(&head), &status);
            } else {
                put_status(&mut self.answers, id, &status);
            }
            return Ok(());
        }
        // A copy of its own: the payload lies in a packet, which a message that is kept must not keep too.
        let body = Body::one(Bytes::copy_from_slice(message));
        let request = self.server.request(head, codec, body)?;
        let mut call = Handling::new(&self.server.dispatch, request);
        // Many handlers never wait. Those that do are polled again at once by the task that they become, so that the waker
        // given here need not wake anything.
        let polled = Pin::new(&mut call).poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(answer) = polled {
            if !header.oneway
                && let Some(large) = put_answer(&mut self.answers, id, codec, answer)
            {
                let active = self.server.begin(id)?;
                self.spawn(
                    (id, active.serial()),
                    send_large(
                        Arc::clone(&self.server),
                        active,
                        large,
                        codec,
                        self.priority,
                    ),
                );
            }
            return Ok(());
        }
        let active = self.server.begin(id)?;
        let (server, outbox, priority) = (
            Arc::clone(&self.server),
            Arc::clone(&self.outbox),
            self.priority,
        );
        let oneway = header.oneway;
        self.spawn((id, active.serial()), async move {
            let answer = call.await;
            if oneway {
                return;
            }
            while outbox.is_full() && !outbox.is_closed() {
                outbox.room().await;
            }
            let mut large = None;
            let wake = if server.has_many() {
                Wake::Last
            } else {
                Wake::Now
            };
            outbox.put(wake, |out| large = put_answer(out, id, codec, answer));
            match large {
                None => drop(active),
                Some(large) => send_large(server, active, large, codec, priority).await,
            }
        });
        Ok(())
    }

    fn spawn(
        &self,
        (id, serial): (RequestId, u64),
        call: impl Future<Output = ()> + Send + 'static,
    ) {
        let task = tokio::spawn(call);
        self.server.can_abort(id, serial, task.abort_handle());
    }
}

/// Appends an answer that fits a frame; gives back a response that does not.
fn put_answer(
    out: &mut BytesMut,
    id: RequestId,
    codec: Codec,
    answer: Result<Response>,
) -> Option<Response> {
    let mut response = match answer {
        Ok(response) => response,
        Err(status) => {
            put_status(out, id, &status);
            return None;
        }
    };
    let trailers = response.body.take_trailers();
    let Some(message) = response.body.as_one() else {
        response.body = response.body.with_trailers(trailers);
        return Some(response);
    };
    let head = response.metadata.size_bytes() + trailers.size_bytes() + HEAD_ROOM_BYTES;
    if !wire::metadata_fits(&trailers) {
        put_status(out, id, &too_many_trailers());
        return None;
    }
    if head + message.len() > MAX_HEAD_BYTES {
        response.body = response.body.with_trailers(trailers);
        return Some(response);
    }
    put_frame(out, FrameType::Response, Some(codec), false, id, |out| {
        wire::put_call(
            out,
            |out| ResponseHead::encode(&response.metadata, &trailers, out),
            message,
        );
    });
    None
}

fn put_status(out: &mut BytesMut, id: RequestId, status: &Status) {
    put_frame(out, FrameType::Error, None, false, id, |out| {
        StatusHead::encode(status, out);
    });
}

/// Sends a response that is too large for the lane on a stream of its own.
async fn send_large<L: Link, D: Dispatch>(
    server: Arc<Server<L, D>>,
    active: Active<L, D>,
    response: Response,
    codec: Codec,
    priority: Priority,
) {
    if let Ok(mut send) = server.link.open_uni().await {
        set_priority(&mut send, priority);
        let mut writer = CallWriter::new(send, active.id(), codec, server.budget.clone());
        let everything = writer.stopped();
        serve_stream::write_response(&mut writer, response).await;
        everything.await;
    }
}
