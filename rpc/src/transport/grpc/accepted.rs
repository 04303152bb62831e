//! One accepted connection: HTTP/2 on it, its calls, its end. Which connections there are is not known here.

use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use h2::{
    Reason,
    server::{Connection, SendResponse},
};
use http_body::{Body as HttpBody, Frame};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Notify,
    time::{Instant, Sleep, sleep, sleep_until},
};
use tonic::body::Body as TonicBody;

use super::{
    alive::Alive,
    answer::{answer, refused},
    config::{
        CONNECTION_WINDOW_BYTES, GrpcConfig, MAX_FRAME_BYTES, MAX_HEADER_BYTES, SEND_BUFFER_BYTES,
        STREAM_WINDOW_BYTES,
    },
    outbound::Outbound,
    shared::Shared,
    stream::{Pump, RecvBody},
};
use crate::{
    call::Peer,
    status::{Result, Status},
};

/// How long answers that end cut calls have to leave, before the connection is closed all the same.
const LINGER: Duration = Duration::from_secs(1);

/// Begins HTTP/2.
///
/// # Errors
/// What came is no HTTP/2, or the connection was lost.
pub(super) async fn open<I>(config: &GrpcConfig, io: I) -> io::Result<Connection<I, Bytes>>
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
    builder.handshake(io).await.map_err(io::Error::other)
}

/// Serves the calls of a connection, until the peer closes it, does not answer any more, or the server has drained it.
pub(super) async fn serve<I>(shared: &Arc<Shared>, mut h2: Connection<I, Bytes>, peer: Peer)
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let mut alive = shared
        .config
        .keep_alive
        .and_then(|config| Some(Alive::new(config, h2.ping_pong()?)));
    let connection = Arc::new(Accepted {
        shared: Arc::clone(shared),
        peer,
        cut: Notify::new(),
    });
    let mut drain = shared.drained();
    let mut ending = None;
    loop {
        tokio::select! {
            accepted = h2.accept() => match accepted {
                Some(Ok((request, respond))) => {
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
                ending = Some(Ending { at: Box::pin(sleep_until(until)), cut: false });
            }
            () = at(&mut ending) => {
                let Some(ending) = &mut ending else { continue };
                if ending.cut {
                    return;
                }
                tracing::warn!(peer = %connection.peer, "calls were cut: they did not end before the shutdown's deadline");
                connection.cut.notify_waiters();
                *ending = Ending { at: Box::pin(sleep(LINGER)), cut: true };
            }
        }
    }
}

/// The end of a connection that drains: first that of its calls, then its own.
struct Ending {
    at: Pin<Box<Sleep>>,
    cut: bool,
}

async fn at(ending: &mut Option<Ending>) {
    match ending {
        Some(ending) => ending.at.as_mut().await,
        None => std::future::pending().await,
    }
}

async fn drained(drain: &mut tokio::sync::watch::Receiver<Option<Instant>>) -> Instant {
    let until = drain.wait_for(Option::is_some).await.map(|until| *until);
    match until {
        Ok(until) => until.unwrap_or_else(Instant::now),
        // Whoever could say so is gone: nobody will.
        Err(_) => std::future::pending().await,
    }
}

/// One connection, as its calls share it.
struct Accepted {
    shared: Arc<Shared>,
    peer: Peer,
    /// Ends the calls in flight.
    cut: Notify,
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
    request: http::Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
) {
    // Kept until the end of the response.
    let place = connection.shared.begin();
    let answered = {
        let refusal = place.as_ref().err().cloned();
        let mut answer = pin!(answer_call(
            &connection,
            refusal,
            request.map(RecvBody::new)
        ));
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

async fn answer_call(
    connection: &Accepted,
    refusal: Option<Status>,
    request: http::Request<RecvBody>,
) -> http::Response<ResponseBody> {
    let Accepted { shared, peer, .. } = connection;
    let service = request.uri().path().split('/').nth(1).unwrap_or_default();
    if !shared.beside.is_empty()
        && let Some(mounted) = shared.beside.get(service)
    {
        return match refusal {
            Some(status) => refused(&status).map(ResponseBody::Ours),
            None => {
                let mut request = request.map(TonicBody::new);
                request.extensions_mut().insert(peer.clone());
                mounted.call(request).await.map(ResponseBody::Theirs)
            }
        };
    }
    answer(
        &shared.router,
        &shared.terms,
        peer.clone(),
        refusal,
        request,
    )
    .await
    .map(ResponseBody::Ours)
}

/// Sends the body of a response; gives it up at the call's deadline even if the peer does not read.
async fn send(connection: &Accepted, stream: h2::SendStream<Bytes>, body: ResponseBody) {
    let deadline = body.deadline();
    let mut late: Option<Pin<Box<Sleep>>> = None;
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
                    pump.reset(Reason::CANCEL);
                    return Poll::Ready(());
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

fn was_cut() -> Status {
    Status::unavailable("the server has shut down before the call ended")
}

/// What a response is made of: by us, or by a service beside the router.
enum ResponseBody {
    Ours(Outbound),
    Theirs(TonicBody),
}

impl ResponseBody {
    const fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Ours(body) => body.deadline(),
            Self::Theirs(_) => None,
        }
    }

    fn cut(&mut self, status: Status) {
        match self {
            Self::Ours(body) => body.cut(status),
            Self::Theirs(_) => *self = Self::Ours(Outbound::ended(status)),
        }
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Ours(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Theirs(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Ours(body) => body.is_end_stream(),
            Self::Theirs(body) => body.is_end_stream(),
        }
    }
}
