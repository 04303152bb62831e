//! [`GrpcConnection`]: one HTTP/2 connection to a server, and the calls on it. How it is opened is not known here.

use std::{
    fmt,
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use h2::client::SendRequest;
use http::uri::Scheme;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    runtime::Handle,
    sync::{oneshot, watch},
    task::AbortHandle,
    time::timeout,
};

use super::{
    alive::Alive,
    ask::{Origin, Terms, ask},
    config::{
        CONNECTION_WINDOW_BYTES, KeepAlive, MAX_FRAME_BYTES, MAX_RESPONSE_HEADER_BYTES,
        SEND_BUFFER_BYTES, STREAM_WINDOW_BYTES,
    },
    oneway::Oneway,
    outbound::Outbound,
    status::{self, Sent},
    stream::{Pump, RecvBody},
    unread::{Metered, Unread},
};
use crate::{
    call::{Recall, Request, Response, unless_recalled},
    dispatch::Dispatch,
    link::Places,
    method::Priority,
    status::{Result, Status},
};

/// An open connection to a gRPC server; a clone is another handle of the same one.
///
/// It is closed when the last handle is dropped and the calls on it have ended.
#[derive(Clone)]
pub struct GrpcConnection(Arc<Inner>);

/// Why a connection could not be opened.
type Error = Box<dyn std::error::Error + Send + Sync>;

/// How a connection is used.
pub(super) struct Settings {
    pub(super) origin: Origin,
    pub(super) terms: Arc<Terms>,
    pub(super) keep_alive: Option<KeepAlive>,
    pub(super) local_addr: Option<SocketAddr>,
}

struct Inner {
    send: SendRequest<Bytes>,
    unread: Arc<Unread>,
    /// Calls wait here for the server to take them, and not in HTTP/2, where one could not go before the others.
    places: Arc<Places>,
    origin: Origin,
    terms: Arc<Terms>,
    oneway: Oneway,
    runtime: Handle,
    local_addr: Option<SocketAddr>,
    /// Why the connection takes no new calls, once it does not.
    retired: watch::Receiver<Option<Status>>,
    /// Tells the connection's task that the last handle is gone.
    _handles: oneshot::Sender<()>,
}

impl GrpcConnection {
    /// Begins HTTP/2 on a stream of bytes.
    pub(super) async fn open<I>(io: I, settings: Settings) -> Result<Self, Error>
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let Settings {
            origin,
            terms,
            keep_alive,
            local_addr,
        } = settings;
        let mut builder = h2::client::Builder::new();
        builder
            .initial_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_frame_size(MAX_FRAME_BYTES)
            .max_header_list_size(MAX_RESPONSE_HEADER_BYTES)
            .max_send_buffer_size(SEND_BUFFER_BYTES)
            .initial_max_send_streams(UNSAID)
            .enable_push(false);
        let unread = Arc::default();
        let (send, mut connection) = builder.handshake(Metered::new(io, &unread)).await?;
        settled(&send, &mut connection, &unread)
            .await
            .map_err(|error| explained(error, &origin))?;
        let alive = keep_alive.and_then(|config| Some(Alive::new(config, connection.ping_pong()?)));
        let max_calls = send.current_max_send_streams();
        let places = Arc::new(Places::new(for_most_calls(max_calls)));
        let (retire, retired) = watch::channel(None);
        let (handles, gone) = oneshot::channel();
        tokio::spawn(drive(
            connection,
            Watched {
                probe: Some(send.clone()),
                unread: Arc::clone(&unread),
                max_calls,
                places: Arc::clone(&places),
                gone,
                alive,
                retire,
            },
        ));
        Ok(Self(Arc::new(Inner {
            send,
            unread,
            places,
            origin,
            terms,
            oneway: Oneway::default(),
            runtime: Handle::current(),
            local_addr,
            retired,
            _handles: handles,
        })))
    }

    /// From which address the server sees the calls come, where nothing between the two hides it.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.0.local_addr
    }

    /// Resolves when the connection takes no new calls, with the reason; those in flight may go on.
    pub async fn retired(&self) -> Status {
        let mut retired = self.0.retired.clone();
        let lost = || Status::unavailable("the connection was closed").with_not_accepted();
        match retired.wait_for(Option::is_some).await {
            Ok(status) => status.clone().unwrap_or_else(lost),
            Err(_) => lost(),
        }
    }

    async fn call(&self, request: Request) -> Result<Response> {
        let inner = &self.0;
        let place = self
            .place(request.priority, request.recall.as_ref())
            .await?;
        let (request, asked) = ask(request, &inner.terms, &inner.origin)?;
        let (head, body) = request.into_parts();
        let head = http::Request::from_parts(head, ());
        // A handle of its own has no call that waits, so that it need not be asked whether it is ready.
        let (mut response, stream) = inner
            .send
            .clone()
            .send_request(head, false)
            .map_err(|error| status::of_error(error, asked.path(), Sent::No))?;
        let mut pump = Some(Pump::new(stream, body));
        let response = poll_fn(|cx| {
            if let Some(sending) = &mut pump
                && sending.poll(cx).is_ready()
            {
                pump = None;
            }
            Pin::new(&mut response).poll(cx)
        })
        .await
        .map_err(|error| status::of_error(error, asked.path(), Sent::Maybe))?;
        // What is left to send goes on while the responses are read, and ends with them.
        let sending = pump.map(|pump| Sending::spawn(&inner.runtime, pump));
        let response = response.map(|stream| RecvBody::new(stream, &inner.unread));
        asked.answered(response, (sending, place)).await
    }

    /// A place among the calls that the server takes at once.
    async fn place(&self, priority: Priority, recall: Option<&Arc<Recall>>) -> Result<Place> {
        let places = &self.0.places;
        let has_place = match priority {
            Priority::Critical => places.try_enter_first(),
            _ => places.try_enter(),
        };
        if !has_place {
            let entered = async {
                match places.enter().await {
                    Ok(()) => Ok(()),
                    Err(_) => Err(self.retired().await.with_not_accepted()),
                }
            };
            unless_recalled(recall, entered).await?;
        }
        Ok(Place(Arc::clone(places)))
    }
}

/// Given back when it is dropped.
struct Place(Arc<Places>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// How many of the calls that a server takes at once any call may take: one is for critical calls, where there is one to spare. HTTP/2
/// lets nobody have more.
const fn for_most_calls(max_calls: usize) -> usize {
    if max_calls > 1 {
        max_calls - 1
    } else {
        max_calls
    }
}

impl Dispatch for GrpcConnection {
    async fn dispatch(&self, request: Request) -> Result<Response> {
        if request.is_oneway() {
            let path = request.method.path().to_owned();
            let this = self.clone();
            let call = async move { this.call(request).await };
            self.0.oneway.run(path, call).await
        } else {
            self.call(request).await
        }
    }
}

impl fmt::Debug for GrpcConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcConnection")
            .field("origin", &self.0.origin)
            .field("retired", &*self.0.retired.borrow())
            .finish_non_exhaustive()
    }
}

/// How many calls a server takes before it has said how many: a number that none says, and that does not stand for as many as one likes.
const UNSAID: usize = usize::MAX - 1;

/// How long a server may say that it takes no calls at all before it is given up: HTTP/2 lets it, for a short while.
const NO_CALLS_AT_FIRST: Duration = Duration::from_secs(1);

/// Waits for the server's settings: only then is it a server of HTTP/2, and known how many calls it takes at once. One that was sent
/// more would refuse them.
async fn settled<I>(
    send: &SendRequest<Bytes>,
    connection: &mut h2::client::Connection<I, Bytes>,
    unread: &Unread,
) -> Result<(), Error>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    until(send, connection, unread, |calls| calls != UNSAID).await?;
    if send.current_max_send_streams() > 0 {
        return Ok(());
    }
    let allowed = until(send, connection, unread, |calls| calls > 0);
    timeout(NO_CALLS_AT_FIRST, allowed)
        .await
        .unwrap_or_else(|_| {
            Err("it answers, and allows no calls (SETTINGS_MAX_CONCURRENT_STREAMS is 0)".into())
        })
}

/// Runs the connection until the server takes such a number of calls at once.
async fn until<I>(
    send: &SendRequest<Bytes>,
    connection: &mut h2::client::Connection<I, Bytes>,
    unread: &Unread,
    is_it: impl Fn(usize) -> bool,
) -> Result<(), Error>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    poll_fn(|cx| {
        let polled = Pin::new(&mut *connection).poll(cx);
        unread.look();
        match polled {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
            Poll::Ready(Ok(())) => Poll::Ready(Err("the server closed the connection".into())),
            Poll::Pending if is_it(send.current_max_send_streams()) => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Says what mostly is behind it if what came was no HTTP/2 at all.
fn explained(error: Error, origin: &Origin) -> Error {
    let is_nonsense = error
        .downcast_ref()
        .is_some_and(|error: &h2::Error| error.is_go_away() && error.is_library());
    if !is_nonsense {
        return error;
    }
    let wanted = if origin.scheme == Some(Scheme::HTTPS) {
        "is it a gRPC server?"
    } else {
        "is it a gRPC server, and does it want https?"
    };
    format!("what answered speaks no HTTP/2 ({error}); {wanted}").into()
}

/// Sends the rest of the requests; dropped, it gives them up, and HTTP/2 resets the stream.
struct Sending(AbortHandle);

impl Sending {
    fn spawn(runtime: &Handle, mut pump: Pump<Outbound>) -> Self {
        let sending = runtime.spawn(async move { poll_fn(|cx| pump.poll(cx)).await });
        Self(sending.abort_handle())
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What the task of a connection watches beside the connection itself.
struct Watched {
    /// Tells whether the connection takes new calls; `None` when nobody asks any more.
    probe: Option<SendRequest<Bytes>>,
    unread: Arc<Unread>,
    /// How many calls the server takes at once.
    max_calls: usize,
    places: Arc<Places>,
    gone: oneshot::Receiver<()>,
    alive: Option<Alive>,
    retire: watch::Sender<Option<Status>>,
}

impl Watched {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Status> {
        if self.probe.is_some() && Pin::new(&mut self.gone).poll(cx).is_ready() {
            self.probe = None;
        }
        if let Some(probe) = &mut self.probe
            && let Poll::Ready(Err(error)) = probe.poll_ready(cx)
        {
            self.probe = None;
            self.retire(&format!("takes no new calls: {error}"));
        }
        if let Some(probe) = &self.probe {
            let max_calls = probe.current_max_send_streams();
            if max_calls != self.max_calls {
                self.max_calls = max_calls;
                self.places.set_limit(for_most_calls(max_calls));
            }
        }
        if let Some(alive) = &mut self.alive
            && alive.poll_lost(cx).is_ready()
        {
            return Poll::Ready(Status::unavailable("the server did not answer in time"));
        }
        Poll::Pending
    }

    fn retire(&self, reason: &str) {
        self.retire.send_if_modified(|retired| {
            let first = retired.is_none();
            retired.get_or_insert_with(|| {
                Status::unavailable(format!("the connection {reason}")).with_not_accepted()
            });
            first
        });
        // After the reason is there.
        self.places.close();
    }
}

async fn drive<I>(connection: h2::client::Connection<I, Bytes>, mut watched: Watched)
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let mut connection = pin!(connection);
    let end = poll_fn(|cx| {
        // Twice: what the connection has read may have retired it, and a handle that goes may have been all that kept it.
        for _ in 0..2 {
            let polled = connection.as_mut().poll(cx);
            watched.unread.look();
            if let Poll::Ready(end) = polled {
                return Poll::Ready(match end {
                    Ok(()) => "was closed".to_owned(),
                    Err(error) => format!("was lost: {error}"),
                });
            }
            if let Poll::Ready(status) = watched.poll(cx) {
                return Poll::Ready(format!("was given up: {}", status.message()));
            }
        }
        Poll::Pending
    })
    .await;
    tracing::debug!(end, "a connection ended");
    watched.retire(&end);
}
