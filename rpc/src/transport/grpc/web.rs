//! gRPC-Web: what browsers send in place of gRPC, for they see no trailers, and whose pages may send it.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use base64::Engine;
use bytes::{BufMut, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
        ACCESS_CONTROL_REQUEST_METHOD, CONTENT_LENGTH, CONTENT_TYPE, ORIGIN, VARY,
    },
};
use http_body::{Body as HttpBody, Frame};
use tonic::body::Body as TonicBody;

use super::{
    headers::{self, GRPC_DETAILS, GRPC_ENCODING, GRPC_MESSAGE, GRPC_STATUS},
    inbound::Malformed,
};

/// The pages that may call a server from a browser, by their origins such as `https://app.example.org`.
///
/// Pages of the server's own origin, as behind a proxy that serves both, are named like any other: browsers send the origin with every
/// call, and the name that a server is called by proves nothing, since whoever owns a name may let it point here.
#[derive(Clone, Debug)]
pub struct Origins(Allowed);

#[derive(Clone, Debug)]
enum Allowed {
    Any,
    Only(Vec<String>),
}

impl Origins {
    /// Every page there is. Fit for what is public anyway: a page may then use whatever the network lets the browser reach.
    #[must_use]
    pub const fn any() -> Self {
        Self(Allowed::Any)
    }

    /// Pages of these origins, each a scheme, a host, and a port where it is not the usual one; without a path.
    pub fn only<O: Into<String>>(origins: impl IntoIterator<Item = O>) -> Self {
        let as_browsers_have_it =
            |origin: String| origin.trim_end_matches('/').to_ascii_lowercase();
        let origins = origins.into_iter().map(Into::into);
        Self(Allowed::Only(origins.map(as_browsers_have_it).collect()))
    }

    fn allow(&self, origin: &HeaderValue) -> bool {
        match &self.0 {
            Allowed::Any => true,
            Allowed::Only(origins) => origins
                .iter()
                .any(|allowed| allowed.as_bytes() == origin.as_bytes()),
        }
    }
}

/// How long a browser may remember what a page may send.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

const PREFIX: &[u8] = b"application/grpc-web";

/// The flag of the frame that trailers travel in.
const TRAILERS_FLAG: u8 = 0x80;

/// What a request is, as gRPC-Web sees it.
pub(super) enum Incoming<B> {
    /// None of its own.
    Plain(Request<B>),
    /// A question of a browser's, or what must not be.
    Answered(Response<()>),
    /// A call, as gRPC has it, and how to answer it.
    Web(WebCall, Request<TonicBody>),
}

pub(super) fn incoming<B>(origins: &Origins, request: Request<B>) -> Incoming<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let origin = request.headers().get(ORIGIN).cloned();
    let asks = request.headers().get(ACCESS_CONTROL_REQUEST_METHOD);
    if request.method() == Method::OPTIONS && asks.is_some() {
        return Incoming::Answered(preflight(origins, origin, request.headers()));
    }
    let Some(text) = is_text(request.headers().get(CONTENT_TYPE)) else {
        return Incoming::Plain(request);
    };
    if origin.as_ref().is_some_and(|origin| !origins.allow(origin)) {
        return Incoming::Answered(bare(StatusCode::FORBIDDEN));
    }
    if request.method() != Method::POST {
        return Incoming::Answered(bare(StatusCode::METHOD_NOT_ALLOWED));
    }
    let mut request = request.map(|body| {
        if text {
            TonicBody::new(Decoded::new(body))
        } else {
            TonicBody::new(body)
        }
    });
    let block = request.headers_mut();
    block.insert(CONTENT_TYPE, headers::CONTENT_TYPE);
    // Of the text, if it is one.
    block.remove(CONTENT_LENGTH);
    Incoming::Web(WebCall { text, origin }, request)
}

/// Whether it is gRPC-Web, and then whether as text.
fn is_text(content_type: Option<&HeaderValue>) -> Option<bool> {
    let rest = content_type?.as_bytes().strip_prefix(PREFIX)?;
    let (text, rest) = match rest.strip_prefix(b"-text") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let rest = rest.strip_prefix(b"+proto").unwrap_or(rest);
    matches!(rest, [] | [b';', ..]).then_some(text)
}

fn bare(status: StatusCode) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status;
    response
}

/// What a browser asks before a page may send anything that a form could not.
fn preflight(origins: &Origins, origin: Option<HeaderValue>, asked: &HeaderMap) -> Response<()> {
    let Some(origin) = origin.filter(|origin| origins.allow(origin)) else {
        return bare(StatusCode::FORBIDDEN);
    };
    let mut response = bare(StatusCode::NO_CONTENT);
    let block = response.headers_mut();
    block.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    block.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("POST"),
    );
    if let Some(names) = asked.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        block.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    block.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    block.insert(VARY, HeaderValue::from_static("origin"));
    response
}

/// A call from a browser.
pub(super) struct WebCall {
    text: bool,
    origin: Option<HeaderValue>,
}

impl WebCall {
    /// The response of gRPC as a browser reads it.
    pub(super) fn outgoing<B>(self, response: Response<B>) -> Response<WebBody<B>> {
        let grpc = response.headers().get(CONTENT_TYPE) == Some(&headers::CONTENT_TYPE);
        let mut response = response.map(|inner| WebBody {
            inner,
            text: self.text,
            done: !grpc,
        });
        let block = response.headers_mut();
        if grpc {
            let name = if self.text {
                "application/grpc-web-text+proto"
            } else {
                "application/grpc-web+proto"
            };
            block.insert(CONTENT_TYPE, HeaderValue::from_static(name));
        }
        if let Some(origin) = self.origin {
            let exposed = exposed(block);
            block.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
            block.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            block.insert(VARY, HeaderValue::from_static("origin"));
        }
        response
    }
}

/// The headers that a page may see: those of gRPC, and whatever metadata is there.
fn exposed(block: &HeaderMap) -> HeaderValue {
    let own = [GRPC_STATUS, GRPC_MESSAGE, GRPC_DETAILS, GRPC_ENCODING];
    let names = block
        .keys()
        .filter(|name| !own.contains(name) && **name != CONTENT_TYPE);
    let text = own
        .iter()
        .chain(names)
        .map(HeaderName::as_str)
        .collect::<Vec<_>>()
        .join(",");
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("grpc-status"))
}

/// A response body with its trailers in a frame of their own, and as text if the page reads text.
pub(super) struct WebBody<B> {
    inner: B,
    text: bool,
    done: bool,
}

impl<B> WebBody<B> {
    pub(super) const fn inner(&self) -> &B {
        &self.inner
    }

    pub(super) const fn inner_mut(&mut self) -> &mut B {
        &mut self.inner
    }

    fn encoded(&self, chunk: Bytes) -> Frame<Bytes> {
        Frame::data(if self.text {
            // Each chunk by itself, padded: readers decode as it comes.
            base64::engine::general_purpose::STANDARD
                .encode(chunk)
                .into()
        } else {
            chunk
        })
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for WebBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        if this.done {
            return Poll::Ready(None);
        }
        let Some(frame) = ready!(Pin::new(&mut this.inner).poll_frame(cx)?) else {
            this.done = true;
            return Poll::Ready(None);
        };
        let chunk = match frame.into_data() {
            Ok(chunk) => chunk,
            Err(frame) => {
                this.done = true;
                trailers_frame(&frame.into_trailers().unwrap_or_default())
            }
        };
        Poll::Ready(Some(Ok(this.encoded(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.done || self.inner.is_end_stream()
    }
}

/// Trailers as a frame: flag, length, and lines as HTTP/1 has them.
fn trailers_frame(trailers: &HeaderMap) -> Bytes {
    let mut lines = BytesMut::new();
    for (name, value) in trailers {
        lines.put_slice(name.as_str().as_bytes());
        lines.put_u8(b':');
        lines.put_slice(value.as_bytes());
        lines.put_slice(b"\r\n");
    }
    let mut frame = BytesMut::with_capacity(lines.len() + 5);
    frame.put_u8(TRAILERS_FLAG);
    frame.put_u32(u32::try_from(lines.len()).unwrap_or(u32::MAX));
    frame.put_slice(&lines);
    frame.freeze()
}

/// A request body out of base64, which may be padded wherever the page had flushed.
struct Decoded<B> {
    inner: B,
    /// What of four letters has come.
    partial: BytesMut,
}

impl<B> Decoded<B> {
    fn new(inner: B) -> Self {
        Self {
            inner,
            partial: BytesMut::new(),
        }
    }
}

impl<B> HttpBody for Decoded<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        Poll::Ready(loop {
            match ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let Ok(chunk) = frame.into_data() else {
                        continue;
                    };
                    this.partial.extend_from_slice(&chunk);
                    match decode(&mut this.partial) {
                        Ok(chunk) if chunk.is_empty() => {}
                        Ok(chunk) => break Some(Ok(Frame::data(chunk))),
                        Err(error) => break Some(Err(error.into())),
                    }
                }
                Some(Err(error)) => break Some(Err(error.into())),
                None if this.partial.is_empty() => break None,
                None => {
                    this.partial.clear();
                    break Some(Err(NOT_BASE64.into()));
                }
            }
        })
    }
}

/// Takes all whole groups of four letters.
fn decode(partial: &mut BytesMut) -> Result<Bytes, Malformed> {
    let whole = partial.split_to(partial.len() - partial.len() % 4);
    let mut out = Vec::with_capacity(whole.len() / 4 * 3);
    // Padding ends a part, and another may follow.
    let mut rest = &whole[..];
    while !rest.is_empty() {
        let padded = rest.iter().position(|letter| *letter == b'=');
        let end = padded.map_or(rest.len(), |at| (at / 4 + 1) * 4);
        let (part, after) = rest.split_at(end);
        base64::engine::general_purpose::STANDARD
            .decode_vec(part, &mut out)
            .map_err(|_| NOT_BASE64)?;
        rest = after;
    }
    Ok(out.into())
}

const NOT_BASE64: Malformed = Malformed("the body is not base64");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_decoded_wherever_it_was_flushed() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("AQID", &[1, 2, 3]),
            ("AQ==Ag==", &[1, 2]),
            ("AQIDBA==BQYH", &[1, 2, 3, 4, 5, 6, 7]),
        ] {
            let mut partial = BytesMut::from(text);
            assert_eq!(decode(&mut partial).unwrap(), bytes, "{text}");
        }
        let mut partial = BytesMut::from("AQIDBA");
        assert_eq!(decode(&mut partial).unwrap(), &[1, 2, 3][..]);
        partial.extend_from_slice(b"==");
        assert_eq!(decode(&mut partial).unwrap(), &[4][..]);
        for text in ["!!!!", "A===", "=AAA", "AA=A"] {
            assert!(decode(&mut BytesMut::from(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn the_types_are_told_apart() {
        for (value, text) in [
            ("application/grpc-web", Some(false)),
            ("application/grpc-web+proto", Some(false)),
            ("application/grpc-web-text", Some(true)),
            ("application/grpc-web-text+proto; charset=x", Some(true)),
            ("application/grpc", None),
            ("application/grpc-websocket", None),
            ("application/grpc-web+json", None),
        ] {
            assert_eq!(
                is_text(Some(&HeaderValue::from_static(value))),
                text,
                "{value}"
            );
        }
    }

    #[test]
    fn origins_are_those_that_were_named() {
        let origins = Origins::only(["https://App.example.org/", "http://localhost:8080"]);
        for (origin, allowed) in [
            ("https://app.example.org", true),
            ("http://localhost:8080", true),
            ("http://app.example.org", false),
            ("https://app.example.org.evil.example", false),
            ("http://localhost", false),
            ("null", false),
        ] {
            let origin = HeaderValue::from_static(origin);
            assert_eq!(origins.allow(&origin), allowed, "{origin:?}");
            assert!(Origins::any().allow(&origin));
        }
    }

    #[test]
    fn trailers_are_a_frame_of_lines() {
        let trailers = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))]);
        assert_eq!(
            trailers_frame(&trailers),
            &b"\x80\0\0\0\x0fgrpc-status:0\r\n"[..]
        );
    }
}
