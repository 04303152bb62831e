//! Metadata as HTTP headers, and the names of the headers that are gRPC's own or ours.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::metadata::Metadata;

pub(super) const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
pub(super) const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
pub(super) const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
pub(super) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
pub(super) const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
pub(super) const GRPC_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// How urgent a call is, where that is not what its method says: `bulk`, `normal`, `high` or `critical`. Any client may send it.
pub(super) const PRIORITY: HeaderName = HeaderName::from_static("blixard-priority");

/// Stands beside a status of which it is certain that no handler has seen the call: [`Status::was_accepted`](crate::Status).
pub(super) const NOT_ACCEPTED: HeaderName = HeaderName::from_static("blixard-not-accepted");

/// What every gRPC message is sent as.
pub(super) const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");

/// Headers that are no metadata, beside those that metadata cannot have anyway.
const OWN: [HeaderName; 8] = [
    GRPC_TIMEOUT,
    GRPC_ENCODING,
    GRPC_ACCEPT_ENCODING,
    GRPC_STATUS,
    GRPC_MESSAGE,
    GRPC_DETAILS,
    PRIORITY,
    NOT_ACCEPTED,
];

/// With no padding, as the gRPC document asks of senders; readers take both.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The metadata among the headers. What no metadata can be is left out, as the gRPC document says.
///
/// # Errors
/// The name of a binary entry that is not base64.
pub(super) fn read(headers: &HeaderMap) -> Result<Metadata, HeaderName> {
    let mut metadata = Metadata::new();
    for (name, value) in headers {
        if OWN.contains(name) {
            continue;
        }
        let key = name.as_str();
        if !key.ends_with("-bin") {
            // A reserved name, or a text that is not ASCII.
            let _ = metadata.append_raw(key.to_owned(), Bytes::copy_from_slice(value.as_bytes()));
            continue;
        }
        // Entries of one name may have been joined on the way.
        for value in value.as_bytes().split(|byte| *byte == b',') {
            let value = BASE64
                .decode(value.trim_ascii())
                .map_err(|_| name.clone())?;
            let _ = metadata.append_raw(key.to_owned(), value.into());
        }
    }
    Ok(metadata)
}

/// Adds the metadata to the headers.
pub(super) fn write(metadata: &Metadata, headers: &mut HeaderMap) {
    for (key, value) in metadata.iter() {
        let value = if key.ends_with("-bin") {
            HeaderValue::from_maybe_shared(Bytes::from(BASE64.encode(value)))
        } else {
            HeaderValue::from_maybe_shared(value.clone())
        };
        // Both were checked when they became metadata.
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(key.as_bytes()), value)
            && !OWN.contains(&name)
        {
            headers.append(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_comes_back() {
        let mut metadata = Metadata::new();
        metadata.append("a", "first").unwrap();
        metadata.append("a", " !~").unwrap();
        metadata.append("empty", "").unwrap();
        let bytes: Vec<u8> = (0..=255).collect();
        metadata.append_bin("b-bin", bytes).unwrap();
        metadata.append_bin("b-bin", vec![]).unwrap();
        let mut headers = HeaderMap::new();
        write(&metadata, &mut headers);
        assert_eq!(read(&headers).unwrap(), metadata);
    }

    #[test]
    fn binary_values_may_be_padded_or_joined_and_must_be_base64() {
        let read_bin = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.append("k-bin", HeaderValue::from_static(text));
            let metadata = read(&headers)?;
            let values: Vec<Vec<u8>> = metadata.iter().map(|(_, value)| value.to_vec()).collect();
            Ok::<_, HeaderName>(values)
        };
        assert_eq!(read_bin("AA==").unwrap(), [vec![0]]);
        assert_eq!(read_bin("AA").unwrap(), [vec![0]]);
        assert_eq!(read_bin("AA, AQ==,").unwrap(), [vec![0], vec![1], vec![]]);
        for text in ["A", "A A=", "=", "ü"] {
            if let Ok(value) = HeaderValue::from_str(text) {
                let headers = HeaderMap::from_iter([(HeaderName::from_static("k-bin"), value)]);
                assert!(read(&headers).is_err(), "{text}");
            }
        }
    }

    #[test]
    fn what_is_grpcs_own_is_no_metadata() {
        let mut headers = HeaderMap::new();
        for name in [
            "te",
            "content-type",
            "user-agent",
            "grpc-timeout",
            "grpc-encoding",
            "blixard-priority",
        ] {
            headers.append(name, HeaderValue::from_static("x"));
        }
        headers.append("not-ascii", HeaderValue::from_bytes(&[0xc3, 0xbc]).unwrap());
        headers.append("grpc-previous-rpc-attempts", HeaderValue::from_static("2"));
        let metadata = read(&headers).unwrap();
        assert_eq!(metadata.len(), 1);
        assert_eq!(metadata.get("grpc-previous-rpc-attempts"), Some("2"));
    }
}
