//! Heads: what a call says beside its messages. Each is a small protobuf message, so that fields can be added; unknown ones are skipped.
//!
//! ```proto
//! message RequestHead  {
//!   oneof method { string path = 1; uint32 number = 5; }      // the number as the server's hello counts methods
//!   optional uint64 timeout_us = 2; repeated Entry metadata = 3; uint32 priority = 4;
//! }
//! message ResponseHead { repeated Entry metadata = 1; repeated Entry trailers = 2; }   // Response and StreamEnd
//! message StatusHead   { uint32 code = 1; string message = 2; repeated Entry metadata = 3; repeated Detail details = 4; bool not_accepted = 5; }
//! message Entry        { string key = 1; bytes value = 2; }
//! message Detail       { string type_url = 1; bytes value = 2; }
//! ```

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::{
    entries::ENTRY_LIMITS,
    error::WireError,
    fields::{Value, next, put_bytes, put_nested, put_varint, text},
    limits::{MAX_PATH_BYTES, MAX_STATUS_DETAILS_BYTES, MAX_STATUS_MESSAGE_BYTES},
};
use crate::{
    code::Code,
    metadata::Metadata,
    method::Priority,
    status::{Detail, Status},
};

/// Which method a Request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MethodRef<'a> {
    /// By its path: `/package.Service/Method`.
    Path(&'a str),
    /// By its number, among those of the services in the server's hello: [`method_number`](super::method_number). Only where both sides have the same
    /// schema of the service.
    Number(u32),
}

/// What a Request frame says of its call.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestHead<'a> {
    /// Which method it is for.
    pub method: MethodRef<'a>,
    /// How long the caller still waits, to the microsecond.
    pub timeout: Option<Duration>,
    /// How urgent the call is.
    pub priority: Priority,
    /// The caller's metadata.
    pub metadata: Metadata,
}

impl<'a> RequestHead<'a> {
    const WHAT: &'static str = "request head";

    /// Appends the head as it is sent.
    pub fn encode(
        method: MethodRef<'_>,
        timeout: Option<Duration>,
        priority: Priority,
        metadata: &Metadata,
        out: &mut BytesMut,
    ) {
        match method {
            MethodRef::Path(path) => put_bytes(out, 1, path.as_bytes()),
            MethodRef::Number(number) => put_varint(out, 5, u64::from(number)),
        }
        if let Some(timeout) = timeout {
            let timeout = u64::try_from(timeout.as_micros()).unwrap_or(u64::MAX);
            put_varint(out, 2, timeout);
        }
        put_metadata(out, 3, metadata);
        if priority != Priority::default() {
            put_varint(out, 4, u64::from(priority.number()));
        }
    }

    /// Reads a head.
    ///
    /// # Errors
    /// Malformed bytes; a path or metadata over their limits or of characters that they cannot have; an unknown priority.
    pub fn decode(mut bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut head = Self {
            method: MethodRef::Path(""),
            timeout: None,
            priority: Priority::default(),
            metadata: Metadata::new(),
        };
        let mut limits = ENTRY_LIMITS;
        while let Some((number, value)) = next(&mut bytes, Self::WHAT)? {
            match (number, value) {
                (1, Value::Bytes(path)) => {
                    if path.len() > MAX_PATH_BYTES {
                        return Err(WireError::TooLarge {
                            bytes: path.len(),
                            limit_bytes: MAX_PATH_BYTES,
                        });
                    }
                    head.method = MethodRef::Path(text(path, Self::WHAT)?);
                }
                (2, Value::Varint(timeout)) => head.timeout = Some(Duration::from_micros(timeout)),
                (3, Value::Bytes(entry)) => limits.add(&mut head.metadata, entry, Self::WHAT)?,
                (4, Value::Varint(priority)) => {
                    head.priority = u8::try_from(priority)
                        .ok()
                        .and_then(Priority::from_number)
                        .ok_or(WireError::Malformed("priority"))?;
                }
                (5, Value::Varint(number)) => {
                    let number = u32::try_from(number);
                    head.method = MethodRef::Number(
                        number.map_err(|_| WireError::Malformed("method number"))?,
                    );
                }
                _ => {}
            }
        }
        match head.method {
            MethodRef::Path(path) if !path.starts_with('/') => {
                Err(WireError::Malformed("method path"))
            }
            _ => Ok(head),
        }
    }
}

/// What a Response frame says: initial metadata, and on a lane, where it is the end too, trailing metadata. A StreamEnd has the latter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResponseHead {
    /// The initial metadata.
    pub metadata: Metadata,
    /// The trailing metadata.
    pub trailers: Metadata,
}

impl ResponseHead {
    const WHAT: &'static str = "response head";

    /// Appends the head as it is sent.
    pub fn encode(metadata: &Metadata, trailers: &Metadata, out: &mut BytesMut) {
        put_metadata(out, 1, metadata);
        put_metadata(out, 2, trailers);
    }

    /// Reads a head.
    ///
    /// # Errors
    /// Malformed bytes, or metadata over its limits or of characters that it cannot have.
    #[inline]
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        Self::decode_fields(bytes)
    }

    fn decode_fields(mut bytes: &[u8]) -> Result<Self, WireError> {
        let mut head = Self::default();
        let (mut metadata, mut trailers) = (ENTRY_LIMITS, ENTRY_LIMITS);
        while let Some((number, value)) = next(&mut bytes, Self::WHAT)? {
            match (number, value) {
                (1, Value::Bytes(entry)) => metadata.add(&mut head.metadata, entry, Self::WHAT)?,
                (2, Value::Bytes(entry)) => trailers.add(&mut head.trailers, entry, Self::WHAT)?,
                _ => {}
            }
        }
        Ok(head)
    }
}

/// A status as an Error frame holds it.
#[derive(Debug)]
pub struct StatusHead;

impl StatusHead {
    const WHAT: &'static str = "status";

    /// Appends the status as it is sent: its message cut and its details left out where they pass their limits, its source never.
    pub fn encode(status: &Status, out: &mut BytesMut) {
        put_varint(out, 1, u64::from(status.code().number()));
        let message = cut(status.message(), MAX_STATUS_MESSAGE_BYTES);
        if !message.is_empty() {
            put_bytes(out, 2, message.as_bytes());
        }
        if ENTRY_LIMITS.allow(status.metadata()) {
            put_metadata(out, 3, status.metadata());
        }
        let mut left = MAX_STATUS_DETAILS_BYTES;
        for detail in status.details() {
            if !has_room(detail, &mut left) {
                break;
            }
            put_nested(out, 4, |out| {
                put_bytes(out, 1, detail.type_url.as_bytes());
                put_bytes(out, 2, &detail.value);
            });
        }
        if !status.was_accepted() {
            put_varint(out, 5, 1);
        }
    }

    /// Reads a status; its message is cut and its details are left out where they pass their limits, as they are when it is sent.
    ///
    /// # Errors
    /// Malformed bytes, or a code of OK: an Error frame ends a call badly.
    pub fn decode(mut bytes: &[u8]) -> Result<Status, WireError> {
        let (mut code, mut message, mut not_accepted) = (0, "", false);
        let mut metadata = Metadata::new();
        let mut details = Vec::new();
        let mut left = MAX_STATUS_DETAILS_BYTES;
        let mut limits = ENTRY_LIMITS;
        while let Some((number, value)) = next(&mut bytes, Self::WHAT)? {
            match (number, value) {
                (1, Value::Varint(number)) => code = number,
                (2, Value::Bytes(value)) => {
                    message = cut(text(value, Self::WHAT)?, MAX_STATUS_MESSAGE_BYTES);
                }
                (3, Value::Bytes(entry)) => limits.add(&mut metadata, entry, Self::WHAT)?,
                (4, Value::Bytes(detail)) => {
                    let detail = decode_detail(detail)?;
                    if has_room(&detail, &mut left) {
                        details.push(detail);
                    } else {
                        left = 0;
                    }
                }
                (5, Value::Varint(value)) => not_accepted = value != 0,
                _ => {}
            }
        }
        let code = Code::from_number(u32::try_from(code).unwrap_or(u32::MAX));
        if code == Code::Ok {
            return Err(WireError::Malformed("status: an Error frame with code OK"));
        }
        let mut status = Status::new(code, message).with_metadata(metadata);
        for detail in details {
            status = status.with_detail(detail);
        }
        Ok(if not_accepted {
            status.with_not_accepted()
        } else {
            status
        })
    }
}

fn decode_detail(mut bytes: &[u8]) -> Result<Detail, WireError> {
    let mut detail = Detail {
        type_url: String::new(),
        value: Bytes::new(),
    };
    while let Some((number, value)) = next(&mut bytes, StatusHead::WHAT)? {
        match (number, value) {
            (1, Value::Bytes(value)) => {
                text(value, StatusHead::WHAT)?.clone_into(&mut detail.type_url)
            }
            (2, Value::Bytes(value)) => detail.value = Bytes::copy_from_slice(value),
            _ => {}
        }
    }
    Ok(detail)
}

/// Takes a detail off what is left of their limit, if it fits; an empty one counts too.
fn has_room(detail: &Detail, left: &mut usize) -> bool {
    let size = detail.type_url.len() + detail.value.len() + super::limits::HEADER_BYTES;
    match left.checked_sub(size) {
        Some(rest) => *left = rest,
        None => return false,
    }
    true
}

fn put_metadata(out: &mut BytesMut, number: u64, metadata: &Metadata) {
    for (key, value) in metadata.iter() {
        put_nested(out, number, |out| {
            put_bytes(out, 1, key.as_bytes());
            put_bytes(out, 2, value);
        });
    }
}

/// The longest prefix of `text` within `limit` bytes that ends between two characters.
fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::limits::{MAX_HEAD_BYTES, MAX_METADATA_BYTES};

    fn metadata() -> Metadata {
        let mut metadata = Metadata::new();
        metadata.append("key", "value").unwrap();
        metadata.append_bin("key-bin", vec![0, 255]).unwrap();
        metadata
    }

    #[test]
    fn heads_come_back() {
        let mut out = BytesMut::new();
        let timeout = Some(Duration::from_micros(1_234_567));
        for method in [
            MethodRef::Path("/a.B/C"),
            MethodRef::Number(0),
            MethodRef::Number(u32::MAX),
        ] {
            out.clear();
            RequestHead::encode(method, timeout, Priority::High, &metadata(), &mut out);
            let expected = RequestHead {
                method,
                timeout,
                priority: Priority::High,
                metadata: metadata(),
            };
            assert_eq!(RequestHead::decode(&out), Ok(expected));
        }

        let mut out = BytesMut::new();
        ResponseHead::encode(&Metadata::new(), &metadata(), &mut out);
        assert_eq!(ResponseHead::decode(&out).unwrap().trailers, metadata());
    }

    #[test]
    fn a_status_comes_back_without_its_source() {
        let status = Status::not_found("no such thing")
            .with_metadata(metadata())
            .with_detail(Detail {
                type_url: "type.googleapis.com/x.Y".into(),
                value: Bytes::from_static(b"detail"),
            })
            .with_source("secret")
            .with_not_accepted();
        let mut out = BytesMut::new();
        StatusHead::encode(&status, &mut out);
        let back = StatusHead::decode(&out).unwrap();
        assert_eq!(back.code(), status.code());
        assert_eq!(back.message(), status.message());
        assert_eq!(back.metadata(), status.metadata());
        assert_eq!(back.details(), status.details());
        assert!(!back.was_accepted());
        assert!(std::error::Error::source(&back).is_none());
    }

    #[test]
    fn the_largest_status_fits_a_frame() {
        let mut metadata = Metadata::new();
        metadata
            .append_bin("k-bin", vec![0; MAX_METADATA_BYTES - 64])
            .unwrap();
        let mut status = Status::internal("é".repeat(100_000)).with_metadata(metadata);
        for _ in 0..10_000 {
            status = status.with_detail(Detail {
                type_url: String::new(),
                value: Bytes::from_static(&[0; 10]),
            });
        }
        let mut out = BytesMut::new();
        StatusHead::encode(&status, &mut out);
        assert!(out.len() <= MAX_HEAD_BYTES, "{}", out.len());
        assert!(StatusHead::decode(&out).unwrap().message().len() <= MAX_STATUS_MESSAGE_BYTES);
    }

    #[test]
    fn a_status_of_many_details_is_read_up_to_their_limit() {
        let mut out = BytesMut::new();
        put_varint(&mut out, 1, 5);
        put_bytes(&mut out, 2, "é".repeat(10_000).as_bytes());
        for _ in 0..20_000 {
            put_bytes(&mut out, 4, &[]);
        }
        let status = StatusHead::decode(&out).unwrap();
        assert_eq!(status.message().len(), MAX_STATUS_MESSAGE_BYTES);
        let most = MAX_STATUS_DETAILS_BYTES / crate::wire::limits::HEADER_BYTES;
        assert_eq!(status.details().len(), most);
    }

    #[test]
    fn limits_hold_when_reading() {
        let mut out = BytesMut::new();
        for _ in 0..200 {
            put_nested(&mut out, 1, |out| put_bytes(out, 1, b"k"));
        }
        assert!(matches!(
            ResponseHead::decode(&out),
            Err(WireError::TooLarge { .. })
        ));
        let mut out = BytesMut::new();
        put_nested(&mut out, 1, |out| {
            put_bytes(out, 1, b"k-bin");
            put_bytes(out, 2, &[0; MAX_METADATA_BYTES]);
        });
        assert!(matches!(
            ResponseHead::decode(&out),
            Err(WireError::TooLarge { .. })
        ));
    }
}
