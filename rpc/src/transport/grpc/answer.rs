//! The server half of a call: an HTTP request to a [`Request`], and a [`Response`] or a status to an HTTP response.
//! Where requests come from, and how responses leave, is not known here.

use std::{
    error::Error as StdError,
    fmt,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method as HttpMethod, StatusCode,
    header::{ACCEPT, ALLOW, CONTENT_TYPE},
    request::Parts,
    uri::PathAndQuery,
};
use http_body::Body as HttpBody;
use tokio::time::Instant;

use super::{
    budget::Budget,
    config::MAX_INBOUND_BYTES,
    encoding::{self, Encoding},
    headers::{self, GRPC_ACCEPT_ENCODING, GRPC_ENCODING, GRPC_TIMEOUT, PRIORITY},
    inbound::{Inbound, Requests},
    outbound::{Outbound, Side},
    status,
    stream::LeftUnread,
    timeout,
};
use crate::{
    call::{Body, Method, Peer, Request, Response, check_metadata},
    codec::Codec,
    dispatch::Dispatch,
    method::{MAX_MESSAGE_BYTES, Priority},
    status::{Result, Status},
    wire::metadata_fits,
};

/// How a server reads and writes messages, whatever serves it.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    accept: Vec<Encoding>,
    accept_header: Option<HeaderValue>,
    send: Vec<Encoding>,
    max_message_bytes: usize,
    budget: Arc<Budget>,
}

impl Default for Terms {
    /// Compressed requests are read, responses are not compressed, and messages have the limits of their methods.
    fn default() -> Self {
        Self::new(
            Encoding::ALL.to_vec(),
            Vec::new(),
            MAX_MESSAGE_BYTES,
            MAX_INBOUND_BYTES,
        )
    }
}

impl Terms {
    pub(super) fn new(
        accept: Vec<Encoding>,
        send: Vec<Encoding>,
        max_message_bytes: usize,
        max_inbound_bytes: usize,
    ) -> Self {
        Self {
            accept_header: encoding::list(&accept),
            accept,
            send,
            max_message_bytes,
            budget: Arc::new(Budget::new(max_inbound_bytes)),
        }
    }

    pub(super) fn set_accept(&mut self, encodings: &[Encoding]) {
        self.accept_header = encoding::list(encodings);
        self.accept = encodings.to_vec();
    }

    pub(super) fn set_send(&mut self, encodings: &[Encoding]) {
        self.send = encodings.to_vec();
    }

    pub(super) fn set_max_message_bytes(&mut self, max: usize) {
        self.max_message_bytes = max;
    }
}

/// Answers one request. What is no gRPC is answered by HTTP alone, and everything else with a gRPC status.
pub(super) async fn answer<D, B>(
    dispatch: &D,
    terms: &Terms,
    peer: Peer,
    refusal: Option<Status>,
    request: http::Request<B>,
) -> http::Response<Outbound>
where
    D: Dispatch,
    B: HttpBody<Data = Bytes> + LeftUnread + Send + Unpin + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    match content_type(&parts) {
        ContentType::Grpc => {}
        ContentType::OtherCodec(name) => {
            return refused(&Status::unimplemented(format!(
                "messages are read as protobuf, and not as {name:?}"
            )));
        }
        ContentType::NotGrpc(status, name, value) => {
            let mut response = http::Response::new(Outbound::nothing());
            *response.status_mut() = status;
            response.headers_mut().insert(name, value);
            return response;
        }
    }
    if let Some(status) = refusal {
        return refused(&status);
    }
    let call = match Incoming::read(dispatch, terms, &parts, peer) {
        Ok(call) => call,
        Err(Refusal::Status(status)) => return refused(&status),
        Err(Refusal::Encoding(status)) => {
            let mut response = refused(&status);
            let accepted = terms
                .accept_header
                .clone()
                .unwrap_or_else(|| HeaderValue::from_static("identity"));
            response
                .headers_mut()
                .insert(GRPC_ACCEPT_ENCODING, accepted);
            return response;
        }
    };
    let Incoming {
        mut request,
        encoding,
        limit_bytes,
    } = call;
    let (method, deadline) = (request.method.clone(), request.deadline);
    let inbound =
        Inbound::new(body, method.clone(), encoding, limit_bytes).with_budget(&terms.budget);
    request.body = match read_body(inbound, &method).await {
        Ok(body) => body,
        Err(status) => return refused(&status),
    };
    match dispatched(dispatch, request).await {
        Ok(response) => {
            let encoding = encoding::choose(parts.headers.get(GRPC_ACCEPT_ENCODING), &terms.send);
            respond(response, method, encoding, deadline)
        }
        Err(status) => refused(&status),
    }
}

/// A response that is a status and nothing else.
pub(super) fn refused(status: &Status) -> http::Response<Outbound> {
    let mut response = http::Response::new(Outbound::nothing());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, headers::CONTENT_TYPE);
    status::write(status, headers);
    response
}

fn respond(
    response: Response,
    method: Method,
    encoding: Option<Encoding>,
    deadline: Option<Instant>,
) -> http::Response<Outbound> {
    let Response { metadata, body } = response;
    let body = Outbound::new(body, method, encoding, Side::Server).with_deadline(deadline);
    let mut response = http::Response::new(body);
    let block = response.headers_mut();
    block.insert(CONTENT_TYPE, headers::CONTENT_TYPE);
    if let Some(encoding) = encoding {
        block.insert(GRPC_ENCODING, HeaderValue::from_static(encoding.name()));
    }
    headers::write(&metadata, block);
    response
}

/// Lets the dispatch handle the call; a panic there ends this call and nothing else.
async fn dispatched<D: Dispatch>(dispatch: &D, request: Request) -> Result<Response> {
    let panicked = || Status::unknown("the server panicked while it handled the call");
    let call = catch_unwind(AssertUnwindSafe(|| dispatch.dispatch(request)));
    let mut call = pin!(call.map_err(|_| panicked())?);
    let response = poll_fn(|cx| {
        catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx)))
            .unwrap_or_else(|_| Poll::Ready(Err(panicked())))
    })
    .await?;
    if metadata_fits(&response.metadata) {
        Ok(response)
    } else {
        Err(Status::internal(
            "the handler set more initial metadata than a response can carry",
        ))
    }
}

/// The requests: a single one that has come already as it is, everything else as it comes.
async fn read_body<B>(mut inbound: Inbound<B>, method: &Method) -> Result<Body>
where
    B: HttpBody<Data = Bytes> + LeftUnread + Send + Unpin + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let single = method
        .descriptor()
        .is_some_and(|method| !method.shape.client_streams());
    if single {
        // Asked once, without waiting: who waits for a message is its reader, until the deadline of the call.
        match poll_fn(|cx| Poll::Ready(inbound.poll_whole(cx))).await {
            Poll::Ready(Ok(message)) => return Ok(Body::one(message)),
            Poll::Ready(Err(broken)) => return Err(Requests::<B>::status(method.path(), broken)),
            Poll::Pending => {}
        }
    }
    inbound.left_unread();
    Ok(Body::stream(Requests(inbound)))
}

/// A call as its headers say it.
struct Incoming {
    request: Request,
    encoding: Option<Encoding>,
    limit_bytes: usize,
}

enum Refusal {
    Status(Status),
    /// The requests are compressed in a way that is not accepted; the answer says which are.
    Encoding(Status),
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        Self::Status(status.with_not_accepted())
    }
}

impl Incoming {
    fn read<D: Dispatch>(
        dispatch: &D,
        terms: &Terms,
        parts: &Parts,
        peer: Peer,
    ) -> Result<Self, Refusal> {
        // All of it: a name with a query behind it is another name.
        let path = parts.uri.path_and_query().map_or("", PathAndQuery::as_str);
        let known = dispatch.resolve(path);
        let method = known.map_or_else(|| Method::Path(path.into()), Method::Known);
        let deadline = deadline(&parts.headers, &method)?;
        let encoding = match parts.headers.get(GRPC_ENCODING).map(HeaderValue::as_bytes) {
            None | Some(b"identity") => None,
            Some(name) => Some(encoding::find(name, &terms.accept).ok_or_else(|| {
                Refusal::Encoding(
                    Status::unimplemented(format!(
                        "{}: compressed messages are not read in the encoding {:?}",
                        method.path(),
                        shortened(name)
                    ))
                    .with_not_accepted(),
                )
            })?),
        };
        let metadata = headers::read(&parts.headers).map_err(|name| {
            Status::internal(format!(
                "{}: the metadata {name} is not base64",
                method.path()
            ))
        })?;
        check_metadata(&metadata, method.path(), "request")?;
        let priority = parts
            .headers
            .get(PRIORITY)
            .and_then(|value| priority(value.as_bytes()))
            .or_else(|| known.map(|known| known.priority))
            .unwrap_or_default();
        let limit_bytes = known.map_or(MAX_MESSAGE_BYTES, |known| known.message_limit_bytes());
        Ok(Self {
            request: Request {
                method,
                codec: Codec::Protobuf,
                metadata,
                deadline,
                priority,
                peer,
                body: Body::empty(),
                recall: None,
            },
            encoding,
            limit_bytes: limit_bytes.min(terms.max_message_bytes),
        })
    }
}

/// # Errors
/// `INTERNAL` if the time-out cannot be read, `DEADLINE_EXCEEDED` if it is over already.
pub(super) fn deadline(headers: &HeaderMap, method: &Method) -> Result<Option<Instant>> {
    let Some(value) = headers.get(GRPC_TIMEOUT) else {
        return Ok(None);
    };
    let timeout = timeout::parse(value.as_bytes()).map_err(|timeout::Malformed| {
        Status::internal(format!(
            "{}: the grpc-timeout {:?} is not one to eight digits and one of H, M, S, m, u, n",
            method.path(),
            shortened(value.as_bytes())
        ))
    })?;
    if timeout.is_zero() {
        return Err(Status::deadline_exceeded(format!(
            "{}: the deadline had passed before the call began",
            method.path()
        )));
    }
    // One too long for the clock is none.
    Ok(Instant::now().checked_add(timeout))
}

enum ContentType {
    Grpc,
    OtherCodec(String),
    /// With the header that says what would be right.
    NotGrpc(StatusCode, HeaderName, HeaderValue),
}

/// Whether it is gRPC's own type, of whatever codec, and not another whose name begins so.
pub(super) fn is_grpc(content_type: Option<&HeaderValue>) -> bool {
    content_type
        .and_then(|value| value.as_bytes().strip_prefix(b"application/grpc"))
        .is_some_and(|rest| matches!(rest, [] | [b'+' | b';', ..]))
}

fn content_type(parts: &Parts) -> ContentType {
    let not_grpc = ContentType::NotGrpc(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ACCEPT,
        headers::CONTENT_TYPE,
    );
    let value = parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let Some(rest) = value.and_then(|value| value.strip_prefix(b"application/grpc")) else {
        return not_grpc;
    };
    if parts.method != HttpMethod::POST {
        let post = HeaderValue::from_static("POST");
        return ContentType::NotGrpc(StatusCode::METHOD_NOT_ALLOWED, ALLOW, post);
    }
    match rest {
        [] | [b';', ..] => ContentType::Grpc,
        [b'+', codec @ ..] => match codec.split(|byte| *byte == b';').next() {
            Some(b"proto") => ContentType::Grpc,
            codec => ContentType::OtherCodec(shortened(codec.unwrap_or_default())),
        },
        // Another type whose name begins so, such as gRPC-Web's.
        _ => not_grpc,
    }
}

/// How a priority is called in the header.
pub(super) const fn priority_name(priority: Priority) -> &'static str {
    match priority {
        Priority::Bulk => "bulk",
        Priority::Normal => "normal",
        Priority::High => "high",
        Priority::Critical => "critical",
    }
}

fn priority(name: &[u8]) -> Option<Priority> {
    Priority::ALL
        .into_iter()
        .find(|priority| priority_name(*priority).as_bytes() == name)
}

/// What a peer sent, no longer than a person reads.
fn shortened(value: &[u8]) -> String {
    const MAX_ECHO_BYTES: usize = 64;
    let end = value.len().min(MAX_ECHO_BYTES);
    String::from_utf8_lossy(&value[..end]).into_owned()
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) | Self::Encoding(status) => status.fmt(f),
        }
    }
}
