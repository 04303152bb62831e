//! `/metrics` over HTTP.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use blixard_rpc::observe::Metrics;
use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode, body::Bytes, header::CONTENT_TYPE, server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};

use crate::metrics::Sources;

/// Serves the page until the process ends; answers where.
///
/// # Errors
/// If the address cannot be bound.
pub async fn serve(address: SocketAddr, sources: Arc<Sources>) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    tokio::spawn(accept(listener, sources));
    Ok(bound)
}

async fn accept(listener: TcpListener, sources: Arc<Sources>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // As when there are no descriptors left.
                tracing::warn!(%error, "no connection to the page of metrics");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let sources = Arc::clone(&sources);
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let sources = Arc::clone(&sources);
                async move { Ok::<_, Infallible>(answer(&request, &sources).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .serve_connection(TokioIo::new(stream), answer);
            // Whoever reads so slowly, or never, gives up its place.
            let _ = timeout(LONGEST, connection).await;
            drop(place);
        });
    }
}

async fn answer<B>(request: &Request<B>, sources: &Sources) -> Response<Full<Bytes>> {
    let (status, kind, text) = if request.uri().path() == "/metrics" {
        (
            StatusCode::OK,
            Metrics::CONTENT_TYPE,
            sources.render().await,
        )
    } else {
        let text = "there is /metrics, and nothing else\n".to_owned();
        (StatusCode::NOT_FOUND, "text/plain; charset=utf-8", text)
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

const MAX_CONNECTIONS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection lasts: Prometheus opens another one.
const LONGEST: Duration = Duration::from_secs(600);
const PAUSE: Duration = Duration::from_millis(100);
