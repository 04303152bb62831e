//! What a call is answered that came in on a connection of ours, whichever HTTP that speaks, and how such a connection ends.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, Sleep, sleep, sleep_until},
};
use tonic::body::Body as TonicBody;

#[cfg(feature = "grpc-web")]
use super::web::{self, WebBody};
use super::{
    answer::{answer, refused},
    outbound::Outbound,
    shared::Shared,
    stream::LeftUnread,
    theirs::{self, Theirs},
};
use crate::{
    call::Peer,
    status::{Result, Status},
};

/// How long answers that end cut calls have to leave, before the connection is closed all the same.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// One connection, as its calls share it.
pub(super) struct Accepted {
    pub(super) shared: Arc<Shared>,
    pub(super) peer: Peer,
    /// Ends the calls in flight.
    pub(super) cut: Arc<Notify>,
}

impl Accepted {
    pub(super) fn new(shared: &Arc<Shared>, peer: Peer) -> Self {
        Self {
            shared: Arc::clone(shared),
            peer,
            cut: Arc::default(),
        }
    }

    /// Answers a request, whichever kind of gRPC it is.
    pub(super) async fn answer<B>(
        &self,
        refusal: Option<Status>,
        request: http::Request<B>,
    ) -> http::Response<ResponseBody>
    where
        B: HttpBody<Data = Bytes> + LeftUnread + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        #[cfg(feature = "grpc-web")]
        if let Some(origins) = &self.shared.web {
            return match web::incoming(origins, request) {
                web::Incoming::Plain(request) => self.answer_grpc(refusal, request).await,
                web::Incoming::Answered(response) => {
                    response.map(|()| ResponseBody::Ours(Outbound::nothing()))
                }
                web::Incoming::Web(call, request) => {
                    let response = self.answer_grpc(refusal, request).await;
                    call.outgoing(response)
                        .map(|body| ResponseBody::Web(Box::new(body)))
                }
            };
        }
        self.answer_grpc(refusal, request).await
    }

    async fn answer_grpc<B>(
        &self,
        refusal: Option<Status>,
        request: http::Request<B>,
    ) -> http::Response<ResponseBody>
    where
        B: HttpBody<Data = Bytes> + LeftUnread + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Self { shared, peer, .. } = self;
        let service = request.uri().path().split('/').nth(1).unwrap_or_default();
        if !shared.beside.is_empty()
            && let Some(mounted) = shared.beside.get(service)
        {
            return match refusal {
                Some(status) => refused(&status).map(ResponseBody::Ours),
                None => {
                    let mut request = request.map(|mut body| {
                        body.left_unread();
                        TonicBody::new(body)
                    });
                    request.extensions_mut().insert(peer.clone());
                    match theirs::call(&**mounted, request).await {
                        Ok(response) => response.map(ResponseBody::Theirs),
                        Err(status) => refused(&status).map(ResponseBody::Ours),
                    }
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
}

/// The end of a connection that drains: first that of its calls, then its own.
pub(super) struct Ending {
    at: Pin<Box<Sleep>>,
    cut: bool,
}

impl Ending {
    pub(super) fn at(until: Instant) -> Self {
        Self {
            at: Box::pin(sleep_until(until)),
            cut: false,
        }
    }

    /// What comes next: the end of the calls, which cuts them, and then, `true`, that of the connection.
    ///
    /// # Cancel safety
    /// Can be dropped and asked again.
    pub(super) async fn next(this: &mut Option<Self>, connection: &Accepted) -> bool {
        let Some(this) = this else {
            return std::future::pending().await;
        };
        this.at.as_mut().await;
        if this.cut {
            return true;
        }
        tracing::warn!(peer = %connection.peer, "calls were cut: they did not end before the shutdown's deadline");
        connection.cut.notify_waiters();
        *this = Self {
            at: Box::pin(sleep(LINGER)),
            cut: true,
        };
        false
    }
}

/// Resolves when the server begins to drain, with until when calls in flight may go on.
pub(super) async fn drained(drain: &mut watch::Receiver<Option<Instant>>) -> Instant {
    let until = drain.wait_for(Option::is_some).await.map(|until| *until);
    match until {
        Ok(until) => until.unwrap_or_else(Instant::now),
        // Whoever could say so is gone: nobody will.
        Err(_) => std::future::pending().await,
    }
}

/// What calls end with that are cut.
pub(super) fn was_cut() -> Status {
    Status::unavailable("the server has shut down before the call ended")
}

/// What calls end with whose messages were not read before their deadline.
pub(super) fn was_late() -> Status {
    Status::deadline_exceeded("the response was not read to its end before the deadline")
}

/// What a response is made of: by us, or by a service beside the router, and for a browser that may be wrapped.
pub(super) enum ResponseBody {
    Ours(Outbound),
    Theirs(Theirs),
    #[cfg(feature = "grpc-web")]
    Web(Box<WebBody<Self>>),
}

impl ResponseBody {
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Ours(body) => body.deadline(),
            Self::Theirs(body) => body.deadline(),
            #[cfg(feature = "grpc-web")]
            Self::Web(body) => body.inner().deadline(),
        }
    }

    pub(super) fn cut(&mut self, status: Status) {
        match self {
            Self::Ours(body) => body.cut(status),
            Self::Theirs(_) => *self = Self::Ours(Outbound::ended(status)),
            #[cfg(feature = "grpc-web")]
            Self::Web(body) => body.inner_mut().cut(status),
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
            #[cfg(feature = "grpc-web")]
            Self::Web(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Ours(body) => body.is_end_stream(),
            Self::Theirs(body) => body.is_end_stream(),
            #[cfg(feature = "grpc-web")]
            Self::Web(body) => body.is_end_stream(),
        }
    }
}
