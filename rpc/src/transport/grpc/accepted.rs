//! One accepted connection of HTTP/2: its calls, and its end. What a call is answered lives in `served`.

use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
};

use bytes::Bytes;
use h2::{
    Reason,
    server::{Connection, SendResponse},
};
use http_body::Body as _;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep, sleep_until},
};

use super::{
    alive::Alive,
    answer::refused,
    config::{
        CONNECTION_WINDOW_BYTES, GrpcConfig, MAX_FRAME_BYTES, MAX_HEADER_BYTES, SEND_BUFFER_BYTES,
        STREAM_WINDOW_BYTES,
    },
    served::{Accepted, Ending, LINGER, ResponseBody, drained, was_cut, was_late},
    shared::Shared,
    stream::{Pump, RecvBody},
    unread::{Metered, Unread},
};
use crate::call::Peer;

/// Begins HTTP/2.
///
/// # Errors
/// What came is no HTTP/2, or the connection was lost.
pub(super) async fn open<I>(config: &GrpcConfig, io: I) -> io::Result<Opened<I>>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let mut builder = h2::server::Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(MAX_FRAME_BYTES)
        .max_header_list_size(MAX_HEADER_BYTES)
        .max_concurrent_streams(config.max_calls_per_connection)
        // As many as may be in flight: a client that gives up all its calls at once means no harm.
        .max_pending_accept_reset_streams(config.max_calls_per_connection as usize)
        .max_send_buffer_size(SEND_BUFFER_BYTES);
    let unread = Arc::default();
    let handshake = builder.handshake(Metered::new(io, &unread));
    let h2 = handshake.await.map_err(io::Error::other)?;
    Ok(Opened { h2, unread })
}

/// A connection on which HTTP/2 has begun.
pub(super) struct Opened<I> {
    h2: Connection<Metered<I>, Bytes>,
    unread: Arc<Unread>,
}

/// Serves the calls of a connection, until the peer closes it, does not answer any more, or the server has drained it.
pub(super) async fn serve<I>(shared: &Arc<Shared>, opened: Opened<I>, peer: Peer)
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let Opened { mut h2, unread } = opened;
    let mut alive = shared
        .config
        .keep_alive
        .and_then(|config| Some(Alive::new(config, h2.ping_pong()?)));
    let connection = Arc::new(Accepted::new(shared, peer));
    let mut drain = shared.drained();
    let mut ending = None;
    loop {
        let accepted = poll_fn(|cx| {
            let accepted = h2.poll_accept(cx);
            unread.look();
            accepted
        });
        tokio::select! {
            accepted = accepted => match accepted {
                Some(Ok((request, respond))) => {
                    let request = request.map(|stream| RecvBody::new(stream, &unread));
                    start(serve_call(Arc::clone(&connection), request, respond)).await;
                }
                Some(Err(error)) => {
                    tracing::debug!(peer = %connection.peer, %error, "a connection broke");
                    return;
                }
                None => return,
            },
            () = Alive::lost(&mut alive) => {
                tracing::debug!(peer = %connection.peer, "a peer did not answer in time");
                return;
            }
            until = drained(&mut drain), if ending.is_none() => {
                h2.graceful_shutdown();
                ending = Some(Ending::at(until));
            }
            over = Ending::next(&mut ending, &connection) => if over {
                return;
            }
        }
    }
}

/// Runs a call right here as far as it gets without waiting: most need no task of their own.
async fn start(call: impl Future<Output = ()> + Send + 'static) {
    let mut call = Box::pin(call);
    if poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx)))
        .await
        .is_pending()
    {
        tokio::spawn(call);
    }
}

async fn serve_call(
    connection: Arc<Accepted>,
    request: http::Request<RecvBody>,
    mut respond: SendResponse<Bytes>,
) {
    // Kept until the end of the response.
    let place = connection.shared.begin();
    let answered = {
        let refusal = place.as_ref().err().cloned();
        let mut answer = pin!(connection.answer(refusal, request));
        let mut cut = pin!(connection.cut.notified());
        poll_fn(|cx| {
            if let Poll::Ready(response) = answer.as_mut().poll(cx) {
                return Poll::Ready(Some(response));
            }
            // The handler is dropped with the call.
            if respond.poll_reset(cx).is_ready() {
                return Poll::Ready(None);
            }
            cut.as_mut()
                .poll(cx)
                .map(|()| Some(refused(&was_cut()).map(ResponseBody::Ours)))
        })
        .await
    };
    let Some(response) = answered else {
        return;
    };
    let (head, body) = response.into_parts();
    let head = http::Response::from_parts(head, ());
    let ends = body.is_end_stream();
    match respond.send_response(head, ends) {
        Ok(stream) if !ends => send(&connection, stream, body).await,
        Ok(_) => {}
        Err(error) => {
            tracing::debug!(%error, "a response cannot be sent");
            respond.send_reset(Reason::INTERNAL_ERROR);
        }
    }
}

/// Sends the body of a response; gives it up at the call's deadline even if the peer does not read. One who reads on, only not as fast as
/// the handler makes messages, is told so by the status; else, soon after, the stream is reset.
async fn send(connection: &Accepted, stream: h2::SendStream<Bytes>, body: ResponseBody) {
    let deadline = body.deadline();
    let mut late: Option<Pin<Box<Sleep>>> = None;
    let mut is_late = false;
    let mut pump = Pump::new(stream, body);
    let mut cut = pin!(connection.cut.notified());
    let mut is_cut = false;
    poll_fn(|cx| {
        loop {
            if pump.poll(cx).is_ready() {
                return Poll::Ready(());
            }
            // While the body is asked, it keeps the deadline itself.
            if pump.is_blocked()
                && let Some(deadline) = deadline
            {
                let late = late.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
                if late.as_mut().poll(cx).is_ready() {
                    if is_late {
                        pump.reset(Reason::CANCEL);
                        return Poll::Ready(());
                    }
                    is_late = true;
                    late.as_mut().reset(Instant::now() + LINGER);
                    // The handler ends here. What waits for room is the rest of a message, so that the status can follow it.
                    pump.body_mut().cut(was_late());
                    continue;
                }
            }
            if is_cut || cut.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            is_cut = true;
            pump.body_mut().cut(was_cut());
        }
    })
    .await;
}
