//! Generated servers, and any other [`Dispatch`], as services of tower: what tonic's own `Server` takes as it stands.

use std::{
    convert::Infallible,
    error::Error as StdError,
    fmt,
    sync::{Arc, LazyLock},
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::Body as HttpBody;
use tonic::{body::Body as TonicBody, server::NamedService, transport::server::TcpConnectInfo};

use super::{
    answer::{Terms, answer},
    encoding::Encoding,
};
use crate::{
    call::Peer,
    dispatch::{BoxFuture, Dispatch},
    method::MAX_MESSAGE_BYTES,
    server::{Server, Service},
};

/// Any [`Dispatch`] as a service of tower, with what gRPC lets one choose: for tonic's own `Server`, or whatever else serves HTTP/2.
///
/// A generated server alone is such a service too, with the defaults.
///
/// Where tonic serves, its timer may answer a call at its deadline before ours does, with `CANCELLED`; its limit of concurrent streams,
/// and of header bytes, are its own. And it does not ask for more of a response while its reader does not read, so that such a call is
/// held past its deadline. [`GrpcServer`](super::GrpcServer) has none of this.
#[derive(Clone)]
pub struct GrpcService<D> {
    dispatch: D,
    terms: Arc<Terms>,
}

impl<D: Dispatch + Clone> GrpcService<D> {
    /// Serves `dispatch`: a [`Router`](crate::Router), a generated server, a channel to elsewhere.
    pub fn new(dispatch: D) -> Self {
        Self {
            dispatch,
            terms: Arc::clone(&DEFAULT_TERMS),
        }
    }

    /// Sets in which encodings compressed requests are read; by default in [all](Encoding::ALL).
    #[must_use]
    pub fn accept_compressed(mut self, encodings: &[Encoding]) -> Self {
        Arc::make_mut(&mut self.terms).set_accept(encodings);
        self
    }

    /// Compresses responses in the first of these encodings that the caller accepts; by default in none.
    #[must_use]
    pub fn send_compressed(mut self, encodings: &[Encoding]) -> Self {
        Arc::make_mut(&mut self.terms).set_send(encodings);
        self
    }

    /// Sets the largest request, where a method's own limit is not less; at most, and by default, [`MAX_MESSAGE_BYTES`].
    #[must_use]
    pub fn max_message_bytes(mut self, max: usize) -> Self {
        Arc::make_mut(&mut self.terms).set_max_message_bytes(max.min(MAX_MESSAGE_BYTES));
        self
    }
}

impl<D> fmt::Debug for GrpcService<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcService")
            .field("terms", &self.terms)
            .finish_non_exhaustive()
    }
}

impl<S: Service<T>, T> NamedService for Server<S, T> {
    const NAME: &'static str = S::NAME;
}

impl<D: NamedService> NamedService for GrpcService<D> {
    const NAME: &'static str = D::NAME;
}

impl<S, T, B> tower_service::Service<http::Request<B>> for Server<S, T>
where
    S: Service<T>,
    T: Send + Sync + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Response = http::Response<TonicBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        serve(self.clone(), Arc::clone(&DEFAULT_TERMS), request)
    }
}

impl<D, B> tower_service::Service<http::Request<B>> for GrpcService<D>
where
    D: Dispatch + Clone,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Response = http::Response<TonicBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        serve(self.dispatch.clone(), Arc::clone(&self.terms), request)
    }
}

static DEFAULT_TERMS: LazyLock<Arc<Terms>> = LazyLock::new(Arc::default);

fn serve<D, B>(
    dispatch: D,
    terms: Arc<Terms>,
    request: http::Request<B>,
) -> BoxFuture<'static, Result<http::Response<TonicBody>, Infallible>>
where
    D: Dispatch,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let peer = peer(request.extensions());
    let request = request.map(TonicBody::new);
    Box::pin(async move {
        let response = answer(&dispatch, &terms, peer, None, request).await;
        Ok(response.map(TonicBody::new))
    })
}

/// Who calls, as tonic's server tells it.
fn peer(extensions: &http::Extensions) -> Peer {
    if let Some(peer) = extensions.get::<Peer>() {
        return peer.clone();
    }
    #[cfg(feature = "grpc-tls")]
    if let Some(tls) = extensions.get::<tonic::transport::server::TlsConnectInfo<TcpConnectInfo>>()
        && let Some(peer) = super::tls::peer(tls.peer_certs().as_deref().map(Vec::as_slice))
    {
        return peer;
    }
    extensions
        .get::<TcpConnectInfo>()
        .and_then(TcpConnectInfo::remote_addr)
        .map_or(Peer::Unknown, Peer::Address)
}
