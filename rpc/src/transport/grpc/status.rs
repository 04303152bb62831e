//! [`Status`] as gRPC's trailers, and what HTTP and HTTP/2 say in its place.

use std::error::Error as StdError;

use base64::Engine;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use prost::Message as _;

use super::headers::{self, BASE64, GRPC_DETAILS, GRPC_MESSAGE, GRPC_STATUS, NOT_ACCEPTED};
use crate::{
    code::Code,
    metadata::Metadata,
    status::{Detail, Result, Status},
    wire::{limits::MAX_STATUS_MESSAGE_BYTES, metadata_fits},
};

/// The most bytes of details, in base64: with the metadata and the message they stay below what clients read of one block of headers.
pub const MAX_DETAILS_HEADER_BYTES: usize = 8 * 1024;

/// What stands in `grpc-status-details-bin`: `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
struct StatusProto {
    #[prost(int32, tag = 1)]
    code: i32,
    #[prost(string, tag = 2)]
    message: String,
    #[prost(message, repeated, tag = 3)]
    details: Vec<AnyProto>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, prost::Message)]
struct AnyProto {
    #[prost(string, tag = 1)]
    type_url: String,
    #[prost(bytes = "bytes", tag = 2)]
    value: Bytes,
}

/// The trailers of a call that went well.
pub(super) fn ok(metadata: &Metadata) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(1 + metadata.len());
    trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
    headers::write(metadata, &mut trailers);
    trailers
}

/// Adds the status to a block of headers: trailers, or the only block of a call that failed at once.
///
/// What does not fit is left out or cut, as on every transport: the error itself must arrive.
pub(super) fn write(status: &Status, block: &mut HeaderMap) {
    block.insert(GRPC_STATUS, HeaderValue::from(status.code().number()));
    let message = cut(status.message());
    if !message.is_empty() {
        let encoded = percent_encode(message);
        if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(encoded)) {
            block.insert(GRPC_MESSAGE, value);
        }
    }
    if metadata_fits(status.metadata()) {
        headers::write(status.metadata(), block);
    } else {
        tracing::warn!(%status, "the metadata of a status is too large and was left out");
    }
    if !status.details().is_empty() {
        write_details(status, message, block);
    }
    if !status.was_accepted() {
        block.insert(NOT_ACCEPTED, HeaderValue::from_static("1"));
    }
}

fn write_details(status: &Status, message: &str, block: &mut HeaderMap) {
    let proto = StatusProto {
        code: i32::try_from(status.code().number()).unwrap_or_default(),
        message: message.to_owned(),
        details: status
            .details()
            .iter()
            .map(|detail| AnyProto {
                type_url: detail.type_url.clone(),
                value: detail.value.clone(),
            })
            .collect(),
    };
    let encoded = BASE64.encode(proto.encode_to_vec());
    if encoded.len() > MAX_DETAILS_HEADER_BYTES {
        tracing::warn!(%status, "the details of a status are too large and were left out");
        return;
    }
    if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(encoded)) {
        block.insert(GRPC_DETAILS, value);
    }
}

/// Takes the status out of a block of headers; `None` if there is none.
///
/// # Errors
/// The status, if it is not OK, with the metadata beside it.
pub(super) fn read(block: &HeaderMap) -> Option<Result<Metadata>> {
    let code = block.get(GRPC_STATUS)?;
    let code = std::str::from_utf8(code.as_bytes())
        .ok()
        .and_then(|text| text.parse().ok())
        .map_or(Code::Unknown, Code::from_number);
    let metadata = match headers::read(block) {
        Ok(metadata) => metadata,
        Err(name) if code == Code::Ok => {
            return Some(Err(Status::internal(format!(
                "the trailing metadata {name} is not base64"
            ))));
        }
        // The error matters more.
        Err(_) => Metadata::new(),
    };
    if code == Code::Ok {
        return Some(Ok(metadata));
    }
    let message = block
        .get(GRPC_MESSAGE)
        .map_or_else(String::new, |value| percent_decode(value.as_bytes()));
    let mut status = Status::new(code, message).with_metadata(metadata);
    for detail in read_details(block) {
        status = status.with_detail(detail);
    }
    if block.contains_key(NOT_ACCEPTED) {
        status = status.with_not_accepted();
    }
    Some(Err(status))
}

fn read_details(block: &HeaderMap) -> Vec<Detail> {
    let Some(value) = block.get(GRPC_DETAILS) else {
        return Vec::new();
    };
    let decoded = BASE64
        .decode(value.as_bytes())
        .ok()
        .and_then(|bytes| StatusProto::decode(Bytes::from(bytes)).ok());
    let Some(proto) = decoded else {
        tracing::debug!("the details of a status cannot be read");
        return Vec::new();
    };
    proto
        .details
        .into_iter()
        .map(|detail| Detail {
            type_url: detail.type_url,
            value: detail.value,
        })
        .collect()
}

/// What an HTTP status means where no gRPC status is beside it, by
/// [the document](https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md).
pub(super) fn of_http(status: StatusCode) -> Status {
    let code = match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502..=504 => Code::Unavailable,
        // Not in the document: what HTTP/2 servers, ours too, answer if there are too many headers.
        431 => Code::ResourceExhausted,
        _ => Code::Unknown,
    };
    let status_of = Status::new(
        code,
        format!("the server answered with HTTP {status} and no gRPC status"),
    );
    if status.as_u16() == 431 {
        return status_of.with_not_accepted();
    }
    status_of
}

/// The status for an error of HTTP/2 or below it on the client, by
/// [the document](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#errors).
///
/// `sent` is whether the request may have left: where it is certain that no handler has seen the call, the status says so.
pub(super) fn of_error(
    error: impl Into<Box<dyn StdError + Send + Sync>>,
    path: &str,
    sent: Sent,
) -> Status {
    let error = error.into();
    let mut accepted = sent == Sent::Maybe;
    let mut code = Code::Unavailable;
    let mut text = error.to_string();
    let mut source: Option<&(dyn StdError + 'static)> = Some(&*error);
    while let Some(error) = source {
        if error.is::<tonic::ConnectError>()
            || error
                .downcast_ref::<hyper::Error>()
                .is_some_and(|error| error.is_canceled() || error.is_closed())
        {
            // It found no connection, or waited for its turn on one that ended.
            accepted = false;
        }
        if error.is::<tonic::TimeoutExpired>() {
            code = Code::DeadlineExceeded;
            text = "not finished within its deadline".to_owned();
        }
        if let Some(h2) = error.downcast_ref::<h2::Error>() {
            if let Some(reason) = h2.reason() {
                // What ends a connection says nothing of this call.
                code = if h2.is_go_away() {
                    Code::Unavailable
                } else {
                    of_reason(reason)
                };
            }
            // A stream that a GOAWAY of the peer ends is one that the peer says it has not begun.
            if h2.is_remote()
                && (h2.is_go_away() || h2.reason() == Some(h2::Reason::REFUSED_STREAM))
            {
                accepted = false;
            }
        }
        let says = error.to_string();
        if !text.contains(&says) {
            text = format!("{text}: {says}");
        }
        source = error.source();
    }
    let status = Status::new(code, format!("{path}: {text}")).with_source(error);
    if accepted {
        status
    } else {
        status.with_not_accepted()
    }
}

/// Whether a request may have left when something failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// Not a byte of it.
    No,
    /// It may have arrived.
    Maybe,
}

fn of_reason(reason: h2::Reason) -> Code {
    match reason {
        h2::Reason::REFUSED_STREAM => Code::Unavailable,
        h2::Reason::CANCEL => Code::Cancelled,
        h2::Reason::ENHANCE_YOUR_CALM => Code::ResourceExhausted,
        h2::Reason::INADEQUATE_SECURITY => Code::PermissionDenied,
        h2::Reason::NO_ERROR
        | h2::Reason::PROTOCOL_ERROR
        | h2::Reason::INTERNAL_ERROR
        | h2::Reason::FLOW_CONTROL_ERROR
        | h2::Reason::SETTINGS_TIMEOUT
        | h2::Reason::FRAME_SIZE_ERROR
        | h2::Reason::COMPRESSION_ERROR
        | h2::Reason::CONNECT_ERROR => Code::Internal,
        _ => Code::Unknown,
    }
}

/// As much of a message as fits when it is encoded, and never half a letter.
fn cut(message: &str) -> &str {
    let mut room = MAX_STATUS_MESSAGE_BYTES;
    for (at, letter) in message.char_indices() {
        let len = if letter.is_ascii() && !must_encode(letter as u8) {
            1
        } else {
            3 * letter.len_utf8()
        };
        if len > room {
            return &message[..at];
        }
        room -= len;
    }
    message
}

const fn must_encode(byte: u8) -> bool {
    !matches!(byte, b' '..=b'~') || byte == b'%'
}

fn percent_encode(message: &str) -> Vec<u8> {
    const HEX: [u8; 16] = *b"0123456789ABCDEF";
    let mut out = Vec::with_capacity(message.len());
    for byte in message.bytes() {
        if must_encode(byte) {
            out.extend([
                b'%',
                HEX[usize::from(byte >> 4)],
                HEX[usize::from(byte & 15)],
            ]);
        } else {
            out.push(byte);
        }
    }
    out
}

/// What cannot be decoded stays as it is: a message that is wrong must not lose the error.
fn percent_decode(mut encoded: &[u8]) -> String {
    let hex = |byte: u8| (byte as char).to_digit(16);
    let mut out = Vec::with_capacity(encoded.len());
    while let Some((first, rest)) = encoded.split_first() {
        encoded = rest;
        if *first == b'%'
            && let [high, low, rest @ ..] = rest
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            out.push((high * 16 + low) as u8);
            encoded = rest;
        } else {
            out.push(*first);
        }
    }
    String::from_utf8(out)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(status: &Status) -> Status {
        let mut block = HeaderMap::new();
        write(status, &mut block);
        read(&block).unwrap().unwrap_err()
    }

    #[test]
    fn a_status_comes_back() {
        for message in ["", "plain", "100 %", "zwei\nZeilen", "\u{7f}世界 🌍"] {
            for code in Code::ALL.into_iter().filter(|code| *code != Code::Ok) {
                let mut metadata = Metadata::new();
                metadata.append("k", "v").unwrap();
                let status = Status::new(code, message)
                    .with_metadata(metadata)
                    .with_detail(Detail {
                        type_url: "type.googleapis.com/a.B".into(),
                        value: Bytes::from_static(&[0, 255]),
                    });
                let back = round_trip(&status);
                assert_eq!((back.code(), back.message()), (code, message));
                assert_eq!(back.details(), status.details());
                assert_eq!(back.metadata(), status.metadata());
                assert!(back.was_accepted());
            }
        }
        assert!(!round_trip(&Status::unimplemented("x").with_not_accepted()).was_accepted());
    }

    #[test]
    fn what_is_too_long_is_cut_and_the_code_arrives() {
        let long = "ä".repeat(100_000);
        let detail = Detail {
            type_url: String::new(),
            value: vec![0; 100_000].into(),
        };
        let mut metadata = Metadata::new();
        metadata.append("k", "v".repeat(100_000)).unwrap();
        let status = Status::not_found(&*long)
            .with_detail(detail)
            .with_metadata(metadata);
        let back = round_trip(&status);
        assert_eq!(back.code(), Code::NotFound);
        assert!(long.starts_with(back.message()) && back.message().len() > 1000);
        assert!(back.details().is_empty() && back.metadata().is_empty());
    }

    #[test]
    fn messages_that_are_no_percent_encoding_stay() {
        for (encoded, decoded) in [
            (&b"%"[..], "%"),
            (b"%4", "%4"),
            (b"%zz", "%zz"),
            (b"%41%", "A%"),
            (b"%C3%A4", "ä"),
            (b"%c3%a4", "ä"),
            (b"%ff", "\u{fffd}"),
        ] {
            assert_eq!(percent_decode(encoded), decoded);
        }
    }

    #[test]
    fn statuses_of_others_are_read() {
        let block = |name: http::HeaderName, value: &'static [u8]| {
            HeaderMap::from_iter([(name, HeaderValue::from_bytes(value).unwrap())])
        };
        assert!(read(&HeaderMap::new()).is_none());
        for (text, code) in [
            (&b"99"[..], Code::Unknown),
            (b"x", Code::Unknown),
            (b"05", Code::NotFound),
        ] {
            let status = read(&block(GRPC_STATUS, text)).unwrap().unwrap_err();
            assert_eq!(status.code(), code);
        }
        let mut broken = block(GRPC_STATUS, b"5");
        broken.insert(GRPC_DETAILS, HeaderValue::from_static("!!"));
        let status = read(&broken).unwrap().unwrap_err();
        assert_eq!((status.code(), status.details().len()), (Code::NotFound, 0));
    }

    #[test]
    fn http_says_what_the_document_has() {
        for (http, code) in [
            (400, Code::Internal),
            (401, Code::Unauthenticated),
            (403, Code::PermissionDenied),
            (404, Code::Unimplemented),
            (415, Code::Unknown),
            (429, Code::Unavailable),
            (500, Code::Unknown),
            (503, Code::Unavailable),
        ] {
            let status = of_http(StatusCode::from_u16(http).unwrap());
            assert_eq!(status.code(), code, "{http}");
            assert!(status.was_accepted(), "{http}");
        }
    }
}
