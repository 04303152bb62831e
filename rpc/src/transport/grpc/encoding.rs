//! [`Encoding`]: how messages are compressed, each by itself, and never into more than is allowed.

use http::HeaderValue;

use crate::status::{Result, Status};

/// How messages may be compressed. Each is one by itself, as gRPC has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// `gzip`: what every gRPC library has.
    #[cfg(feature = "grpc-compression")]
    Gzip,
    /// `zstd`: faster and smaller, where both sides have it.
    #[cfg(feature = "grpc-compression")]
    Zstd,
}

impl Encoding {
    /// All that this build has, the preferred first.
    pub const ALL: &'static [Self] = &[
        #[cfg(feature = "grpc-compression")]
        Self::Zstd,
        #[cfg(feature = "grpc-compression")]
        Self::Gzip,
    ];

    /// The name in headers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            #[cfg(feature = "grpc-compression")]
            Self::Gzip => "gzip",
            #[cfg(feature = "grpc-compression")]
            Self::Zstd => "zstd",
        }
    }

    /// Compresses a message.
    ///
    /// # Errors
    /// `INTERNAL`, if there is no memory for it.
    pub(super) fn compress(self, message: &[u8]) -> Result<Vec<u8>> {
        codecs::compress(self, message).map_err(|error: std::io::Error| {
            Status::internal(format!("a message cannot be compressed: {error}")).with_source(error)
        })
    }

    /// Decompresses a message, of at most `limit_bytes` when it is whole again.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` if it is longer, and no more than that is made of it; `INTERNAL` if it is no such message.
    pub(super) fn decompress(
        self,
        message: &[u8],
        limit_bytes: usize,
        path: &str,
    ) -> Result<Vec<u8>> {
        let whole =
            codecs::decompress(self, message, limit_bytes).map_err(|error: std::io::Error| {
                Status::internal(format!("{path}: a message is not {}: {error}", self.name()))
                    .with_source(error)
            })?;
        if whole.len() > limit_bytes {
            return Err(Status::resource_exhausted(format!(
                "{path}: a message of {} compressed bytes is over the limit of {limit_bytes} bytes when it is decompressed",
                message.len()
            )));
        }
        Ok(whole)
    }
}

/// What is said to be accepted: `identity,zstd,gzip`; `None` where that is only `identity`.
pub(super) fn list(encodings: &[Encoding]) -> Option<HeaderValue> {
    if encodings.is_empty() {
        return None;
    }
    let text = encodings
        .iter()
        .fold(String::from("identity"), |text, encoding| {
            text + "," + encoding.name()
        });
    HeaderValue::from_str(&text).ok()
}

/// The one of `ours` with this name; `None` is none of them.
pub(super) fn find(name: &[u8], ours: &[Encoding]) -> Option<Encoding> {
    ours.iter()
        .copied()
        .find(|encoding| encoding.name().as_bytes() == name)
}

/// The first of `ours` that a header of the other side says it accepts.
pub(super) fn choose(accepted: Option<&HeaderValue>, ours: &[Encoding]) -> Option<Encoding> {
    if ours.is_empty() {
        return None;
    }
    let accepted = accepted?.as_bytes();
    ours.iter().copied().find(|encoding| {
        accepted
            .split(|byte| *byte == b',')
            .any(|name| name.trim_ascii() == encoding.name().as_bytes())
    })
}

/// Messages below this are sent as they are: no encoding makes them smaller.
pub(super) const MIN_COMPRESSED_BYTES: usize = 128;

#[cfg(feature = "grpc-compression")]
mod codecs {
    use std::io::{Error, Read, Result, Write};

    use flate2::{Compression, bufread::GzDecoder, write::GzEncoder};

    use super::Encoding;

    /// The largest window that a compressed message may ask for, as a power of two: 8 MiB, what
    /// [RFC 8878](https://www.rfc-editor.org/rfc/rfc8878#section-3.1.1.1.2) asks every reader to have.
    const MAX_WINDOW_LOG: u32 = 23;

    /// The most members that a `gzip` message may be made of. Empty ones have 20 bytes, and each costs as much as thousands of bytes.
    const MAX_MEMBERS: usize = 256;

    pub(super) fn compress(encoding: Encoding, message: &[u8]) -> Result<Vec<u8>> {
        match encoding {
            Encoding::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(message)?;
                encoder.finish()
            }
            Encoding::Zstd => zstd::bulk::compress(message, zstd::DEFAULT_COMPRESSION_LEVEL),
        }
    }

    /// At most one byte more than the limit, so that more is seen.
    pub(super) fn decompress(
        encoding: Encoding,
        message: &[u8],
        limit_bytes: usize,
    ) -> Result<Vec<u8>> {
        let mut whole = Vec::new();
        let most = limit_bytes as u64 + 1;
        match encoding {
            Encoding::Gzip => {
                let mut rest = message;
                for _ in 0..MAX_MEMBERS {
                    let missing = most - whole.len() as u64;
                    let mut member = GzDecoder::new(rest);
                    (&mut member).take(missing).read_to_end(&mut whole)?;
                    rest = member.into_inner();
                    if rest.is_empty() || whole.len() as u64 == most {
                        return Ok(whole);
                    }
                }
                Err(Error::other(format!(
                    "it has more than {MAX_MEMBERS} members"
                )))
            }
            Encoding::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(message)?;
                decoder.window_log_max(MAX_WINDOW_LOG)?;
                decoder.take(most).read_to_end(&mut whole)?;
                Ok(whole)
            }
        }
    }
}

#[cfg(not(feature = "grpc-compression"))]
mod codecs {
    use std::io::Result;

    use super::Encoding;

    pub(super) const fn compress(encoding: Encoding, _: &[u8]) -> Result<Vec<u8>> {
        match encoding {}
    }

    pub(super) const fn decompress(encoding: Encoding, _: &[u8], _: usize) -> Result<Vec<u8>> {
        match encoding {}
    }
}

#[cfg(test)]
#[cfg(feature = "grpc-compression")]
mod tests {
    use super::*;
    use crate::code::Code;

    #[test]
    fn messages_come_back_and_are_never_longer_than_allowed() {
        for encoding in Encoding::ALL {
            for message in [vec![], vec![1, 2, 3], vec![7; 100_000]] {
                let compressed = encoding.compress(&message).unwrap();
                let back = encoding
                    .decompress(&compressed, message.len(), "/a/B")
                    .unwrap();
                assert_eq!(back, message);
                if let Some(limit) = message.len().checked_sub(1) {
                    let status = encoding.decompress(&compressed, limit, "/a/B").unwrap_err();
                    assert_eq!(status.code(), Code::ResourceExhausted);
                }
                if !compressed.is_empty() {
                    let cut = &compressed[..compressed.len() - 1];
                    let status = encoding.decompress(cut, 1 << 20, "/a/B").unwrap_err();
                    assert_eq!(status.code(), Code::Internal, "{}", encoding.name());
                }
            }
            let status = encoding.decompress(b"nonsense", 100, "/a/B").unwrap_err();
            assert_eq!(status.code(), Code::Internal);
        }
    }

    #[test]
    fn a_bomb_is_a_refusal() {
        for encoding in Encoding::ALL {
            let bomb = encoding.compress(&vec![0; 64 << 20]).unwrap();
            assert!(bomb.len() < 1 << 20);
            let status = encoding.decompress(&bomb, 1 << 20, "/a/B").unwrap_err();
            assert_eq!(status.code(), Code::ResourceExhausted);
        }
    }

    #[test]
    fn gzip_may_have_several_members_and_not_any_number() {
        let member = |data: &[u8]| Encoding::Gzip.compress(data).unwrap();
        let joined = |members: &[Vec<u8>]| members.concat();
        let two = joined(&[member(b"one "), member(b""), member(b"two")]);
        let back = Encoding::Gzip.decompress(&two, 7, "/a/B").unwrap();
        assert_eq!(back, b"one two");
        let status = Encoding::Gzip.decompress(&two, 6, "/a/B").unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        // What follows the last one is no padding.
        let status = Encoding::Gzip.decompress(&joined(&[member(b"a"), vec![0; 20]]), 9, "/a/B");
        assert_eq!(status.unwrap_err().code(), Code::Internal);
        let bomb = member(b"").repeat(257);
        let status = Encoding::Gzip.decompress(&bomb, 9, "/a/B").unwrap_err();
        assert_eq!(status.code(), Code::Internal);
        assert!(status.message().contains("256 members"), "{status}");
        let most = member(b"").repeat(256);
        assert!(Encoding::Gzip.decompress(&most, 9, "/a/B").is_ok());
    }

    #[test]
    fn what_the_other_side_accepts_is_chosen_by_our_preference() {
        let header = HeaderValue::from_static("identity, gzip ,zstd");
        assert_eq!(choose(Some(&header), Encoding::ALL), Some(Encoding::Zstd));
        assert_eq!(
            choose(Some(&header), &[Encoding::Gzip]),
            Some(Encoding::Gzip)
        );
        assert_eq!(choose(None, Encoding::ALL), None);
        let header = HeaderValue::from_static("identity");
        assert_eq!(choose(Some(&header), Encoding::ALL), None);
        assert_eq!(list(Encoding::ALL).unwrap(), "identity,zstd,gzip");
    }
}
