//! The client half of a call: a [`Request`] to an HTTP request, and an HTTP response to a [`Response`] or a status. What carries
//! the two is not known here.

use std::{error::Error as StdError, future::poll_fn, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method as HttpMethod, StatusCode, Uri,
    header::{CONTENT_TYPE, TE},
    uri::{Authority, PathAndQuery, Scheme},
};
use http_body::Body as HttpBody;
use tokio::time::Instant;

use super::{
    answer::{is_grpc, priority_name},
    encoding::{self, Encoding},
    headers::{self, GRPC_ACCEPT_ENCODING, GRPC_ENCODING, GRPC_TIMEOUT, PRIORITY},
    inbound::{Inbound, Next, Responses},
    outbound::{Outbound, Side},
    status,
    stream::LeftUnread,
    timeout,
};
use crate::{
    call::{Body, Method, Request, Response},
    code::Code,
    codec::Codec,
    metadata::Metadata,
    method::MAX_MESSAGE_BYTES,
    status::{Result, Status},
};

/// How a client reads and writes messages, whatever carries them.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    accept: Vec<Encoding>,
    accept_header: Option<HeaderValue>,
    send: Option<Encoding>,
    user_agent: Option<HeaderValue>,
}

impl Default for Terms {
    /// Compressed responses are read, and requests are not compressed.
    fn default() -> Self {
        Self {
            accept: Encoding::ALL.to_vec(),
            accept_header: encoding::list(Encoding::ALL),
            send: None,
            user_agent: None,
        }
    }
}

impl Terms {
    pub(super) fn set_accept(&mut self, encodings: &[Encoding]) {
        self.accept_header = encoding::list(encodings);
        self.accept = encodings.to_vec();
    }

    pub(super) fn set_send(&mut self, encoding: Encoding) {
        self.send = Some(encoding);
    }

    pub(super) fn set_user_agent(&mut self, user_agent: HeaderValue) {
        self.user_agent = Some(user_agent);
    }
}

/// Where calls go, in the words of HTTP.
#[derive(Clone, Debug, Default)]
pub(super) struct Origin {
    pub(super) scheme: Option<Scheme>,
    pub(super) authority: Option<Authority>,
}

/// What a server of tonic says when the deadline of a call has passed.
const TONICS_TIMEOUT: &str = "Timeout expired";

/// A call that was made, as its answer is read.
pub(super) struct Asked {
    method: Method,
    terms: Arc<Terms>,
    has_deadline: bool,
}

impl Asked {
    pub(super) fn path(&self) -> &str {
        self.method.path()
    }
}

/// The HTTP request of a call.
///
/// # Errors
/// It cannot be sent, so that nobody has seen it: its deadline has passed, or it is in another codec than protobuf.
pub(super) fn ask(
    request: Request,
    terms: &Arc<Terms>,
    origin: &Origin,
) -> Result<(http::Request<Outbound>, Asked)> {
    let (head, asked) = head(&request, terms, origin).map_err(Status::with_not_accepted)?;
    let Request { method, body, .. } = request;
    Ok((
        head.map(|()| Outbound::new(body, method, terms.send, Side::Client)),
        asked,
    ))
}

fn head(
    request: &Request,
    terms: &Arc<Terms>,
    origin: &Origin,
) -> Result<(http::Request<()>, Asked)> {
    let path = request.method.path();
    if request.codec != Codec::Protobuf {
        return Err(Status::internal(format!(
            "{path}: gRPC carries protobuf, and the call was encoded in {:?}",
            request.codec
        )));
    }
    let mut head = http::Request::new(());
    *head.method_mut() = HttpMethod::POST;
    *head.uri_mut() = uri(&request.method, origin)?;
    *head.version_mut() = http::Version::HTTP_2;
    let headers = head.headers_mut();
    headers.reserve(6 + request.metadata.len());
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(CONTENT_TYPE, headers::CONTENT_TYPE);
    if let Some(deadline) = request.deadline {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Status::deadline_exceeded(format!(
                "{path}: the deadline had passed before the call began"
            )));
        }
        if let Some(value) = timeout::format(left) {
            headers.insert(GRPC_TIMEOUT, value);
        }
    }
    if let Some(encoding) = terms.send {
        headers.insert(GRPC_ENCODING, HeaderValue::from_static(encoding.name()));
    }
    if let Some(accepted) = &terms.accept_header {
        headers.insert(GRPC_ACCEPT_ENCODING, accepted.clone());
    }
    if let Some(user_agent) = &terms.user_agent {
        headers.insert(http::header::USER_AGENT, user_agent.clone());
    }
    let usual = request.method.descriptor().map(|method| method.priority);
    if usual.unwrap_or_default() != request.priority {
        let name = priority_name(request.priority);
        headers.insert(PRIORITY, HeaderValue::from_static(name));
    }
    headers::write(&request.metadata, headers);
    let asked = Asked {
        method: request.method.clone(),
        terms: Arc::clone(terms),
        has_deadline: request.deadline.is_some(),
    };
    Ok((head, asked))
}

fn uri(method: &Method, origin: &Origin) -> Result<Uri> {
    let path = match method {
        Method::Known(method) => Bytes::from_static(method.path.as_bytes()),
        Method::Path(path) => Bytes::copy_from_slice(path.as_bytes()),
    };
    let path = PathAndQuery::from_maybe_shared(path).map_err(|error| {
        Status::unimplemented(format!("{:?} is not a path: {error}", method.path()))
    })?;
    let mut parts = http::uri::Parts::default();
    parts.path_and_query = Some(path);
    parts.scheme.clone_from(&origin.scheme);
    parts.authority.clone_from(&origin.authority);
    Uri::from_parts(parts)
        .map_err(|error| Status::invalid_argument(format!("no address for a call: {error}")))
}

impl Asked {
    /// The answer, out of the HTTP response. One message is read to the end of the call, more are read as they are wanted;
    /// `guard` is dropped when nothing more is.
    ///
    /// # Errors
    /// The status of the call, if it is there already.
    pub(super) async fn answered<B, G>(
        self,
        response: http::Response<B>,
        guard: G,
    ) -> Result<Response>
    where
        B: HttpBody<Data = Bytes> + LeftUnread + Send + Unpin + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
        G: Send + Unpin + 'static,
    {
        let (parts, body) = response.into_parts();
        if let Some(end) = status::read(&parts.headers) {
            // The head is all that there is.
            return end
                .map(|trailers| Response::new(Body::empty().with_trailers(trailers)))
                .map_err(|status| self.timed_out(status));
        }
        let encoding = self.check_head(parts.status, &parts.headers)?;
        let metadata = headers::read(&parts.headers).map_err(|name| {
            Status::internal(format!(
                "{}: the metadata {name} is not base64",
                self.path()
            ))
        })?;
        let single = self
            .method
            .descriptor()
            .is_some_and(|method| !method.shape.server_streams());
        let inbound = Inbound::new(body, self.method, encoding, MAX_MESSAGE_BYTES);
        let mut responses = Responses::new(inbound, guard);
        let body = if single {
            let (message, trailers) = read_one(&mut responses).await?;
            Body::one(message).with_trailers(trailers)
        } else {
            responses.inbound.left_unread();
            Body::stream(responses)
        };
        Ok(Response { metadata, body })
    }

    /// A server of tonic that ends a call at its deadline calls that CANCELLED, and may do so a moment before the client's own clock
    /// says what it is.
    fn timed_out(&self, status: Status) -> Status {
        if !(self.has_deadline
            && status.code() == Code::Cancelled
            && status.message() == TONICS_TIMEOUT)
        {
            return status;
        }
        let text = format!("{}: the server stopped at the deadline", self.path());
        Status::deadline_exceeded(text).with_source(status)
    }

    /// How the messages that follow are compressed.
    ///
    /// # Errors
    /// What is wrong with the head.
    fn check_head(&self, status: StatusCode, block: &HeaderMap) -> Result<Option<Encoding>> {
        if status != StatusCode::OK {
            return Err(status::of_http(status));
        }
        let content_type = block.get(CONTENT_TYPE);
        if !is_grpc(content_type) {
            return Err(Status::unknown(format!(
                "{}: the answer is not gRPC: its content-type is {:?}",
                self.path(),
                content_type
                    .map(|value| String::from_utf8_lossy(value.as_bytes()))
                    .unwrap_or_default()
            )));
        }
        match block.get(GRPC_ENCODING).map(HeaderValue::as_bytes) {
            None | Some(b"identity") => Ok(None),
            Some(name) => match encoding::find(name, &self.terms.accept) {
                Some(encoding) => Ok(Some(encoding)),
                None => Err(Status::internal(format!(
                    "{}: the answer is compressed in {:?}, which was not asked for",
                    self.path(),
                    String::from_utf8_lossy(name)
                ))),
            },
        }
    }
}

async fn read_one<B, G>(responses: &mut Responses<B, G>) -> Result<(Bytes, Metadata)>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let wrong_number = |responses: &Responses<B, G>, got| {
        Status::unimplemented(format!(
            "{} answers with exactly one message, and {got} came",
            responses.inbound.path()
        ))
    };
    let Next::Message(message) = poll_fn(|cx| responses.poll(cx)).await? else {
        return Err(wrong_number(responses, "none"));
    };
    match poll_fn(|cx| responses.poll(cx)).await? {
        Next::End(trailers) => Ok((message, trailers)),
        Next::Message(_) => Err(wrong_number(responses, "more than one")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_tonic_says_of_a_deadline_is_told_from_a_cancelled_call() {
        for (has_deadline, message, code) in [
            (true, TONICS_TIMEOUT, Code::DeadlineExceeded),
            (false, TONICS_TIMEOUT, Code::Cancelled),
            (true, "by the server", Code::Cancelled),
        ] {
            let asked = Asked {
                method: Method::Path("/a.B/C".into()),
                terms: Arc::default(),
                has_deadline,
            };
            let response = http::Response::builder()
                .header("grpc-status", "1")
                .header("grpc-message", message)
                .body(tonic::body::Body::empty())
                .unwrap();
            let status = asked.answered(response, ()).await.unwrap_err();
            assert_eq!(status.code(), code, "{status:?}");
        }
    }
}
