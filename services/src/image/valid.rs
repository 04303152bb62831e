//! What may be asked for at all: names, hashes, keys and addresses. What is refused is named by its kind, and not repeated: it may be a
//! megabyte long.

use std::net::SocketAddr;

use blixard_rpc::{Result, Status};
use iroh::{EndpointAddr, EndpointId, RelayUrl, TransportAddr};

use super::messages::{ImageFormat, Provider};

/// The longest name of an image.
pub const MAX_NAME_BYTES: usize = 63;
/// The most readers of an image.
pub const MAX_READERS: usize = 64;
/// The most providers that a call may name.
pub const MAX_PROVIDERS: usize = 32;
/// The most addresses of a provider that count.
pub const MAX_ADDRESSES: usize = 16;
/// The longest URL of a relay.
pub const MAX_RELAY_BYTES: usize = 256;

/// 32 bytes: a BLAKE3 hash, or a key.
pub(super) type Word = [u8; 32];

pub(super) fn name(name: &str) -> Result<()> {
    let inner =
        |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(byte);
    let bytes = name.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    if bytes.len() <= MAX_NAME_BYTES
        && bytes.iter().all(inner)
        && ends
            .iter()
            .all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
    {
        return Ok(());
    }
    Err(Status::invalid_argument(format!(
        "the name of an image is 1 to {MAX_NAME_BYTES} of a-z, 0-9, ., _ and -, and begins and ends with a letter or digit"
    )))
}

pub(super) fn hash(text: &str) -> Result<Word> {
    word(text).ok_or_else(|| {
        Status::invalid_argument("the hash of an image is 64 digits of 0-9 and a-f (BLAKE3)")
    })
}

pub(super) fn key(text: &str) -> Result<Word> {
    word(text)
        .ok_or_else(|| Status::invalid_argument("the key of a node is 64 digits of 0-9 and a-f"))
}

pub(super) fn format(format: ImageFormat) -> Result<()> {
    match format {
        ImageFormat::Raw | ImageFormat::Qcow2 => Ok(()),
        ImageFormat::Unspecified => Err(Status::invalid_argument(
            "the format of the image is to be said: raw or qcow2",
        )),
        ImageFormat::Other(number) => Err(Status::invalid_argument(format!(
            "this node knows no format {number}: it may be older than you"
        ))),
    }
}

/// Sorted, and each once, so that equal lists are equal.
pub(super) fn readers(mut readers: Vec<String>) -> Result<Vec<String>> {
    if readers.len() > MAX_READERS {
        return Err(Status::invalid_argument(format!(
            "an image has at most {MAX_READERS} readers, and not {}: leave them to the roles of nodes",
            readers.len()
        )));
    }
    for reader in &readers {
        key(reader)?;
    }
    readers.sort();
    readers.dedup();
    Ok(readers)
}

pub(super) fn providers(providers: Vec<Provider>) -> Result<Vec<EndpointAddr>> {
    if providers.len() > MAX_PROVIDERS {
        return Err(Status::invalid_argument(format!(
            "a call names at most {MAX_PROVIDERS} providers, and not {}: they know of others",
            providers.len()
        )));
    }
    providers.iter().map(address).collect()
}

/// Where a provider is.
pub(super) fn address(provider: &Provider) -> Result<EndpointAddr> {
    let id = EndpointId::from_bytes(&key(&provider.key)?).map_err(|_| {
        Status::invalid_argument("a provider has a key that is none: it is no point of the curve")
    })?;
    if provider.addresses.len() > MAX_ADDRESSES || provider.relay.len() > MAX_RELAY_BYTES {
        return Err(Status::invalid_argument(format!(
            "a provider has at most {MAX_ADDRESSES} addresses, and a relay of at most {MAX_RELAY_BYTES} bytes"
        )));
    }
    let mut address = EndpointAddr::new(id);
    for text in &provider.addresses {
        match text.parse::<SocketAddr>() {
            Ok(ip) if ip.port() > 0 && !ip.ip().is_unspecified() => {
                address = address.with_ip_addr(ip);
            }
            _ => {
                return Err(Status::invalid_argument(
                    "an address of a provider is an IP address and a port, such as 192.0.2.1:4433",
                ));
            }
        }
    }
    if !provider.relay.is_empty() {
        let relay = provider.relay.parse::<RelayUrl>();
        let relay = relay.map_err(|_| {
            Status::invalid_argument(
                "the relay of a provider is a URL, such as https://relay.example.org",
            )
        })?;
        address = address.with_relay_url(relay);
    }
    Ok(address)
}

/// What others need to know of an endpoint to fetch from it.
pub(super) fn provider(address: &EndpointAddr) -> Provider {
    let mut provider = Provider {
        key: hex(address.id.as_bytes()),
        ..Provider::default()
    };
    for place in &address.addrs {
        match place {
            TransportAddr::Ip(ip) if provider.addresses.len() < MAX_ADDRESSES => {
                provider.addresses.push(ip.to_string());
            }
            TransportAddr::Relay(relay) if relay.as_str().len() <= MAX_RELAY_BYTES => {
                provider.relay = relay.to_string();
            }
            _ => {}
        }
    }
    provider
}

pub(super) fn hex(word: &Word) -> String {
    let mut text = String::with_capacity(64);
    for byte in word {
        for half in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(half.into(), 16));
        }
    }
    text
}

fn word(text: &str) -> Option<Word> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let bytes = text.as_bytes();
    if bytes.len() != 64 {
        return None;
    }
    let mut word = [0; 32];
    for (byte, pair) in word.iter_mut().zip(bytes.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_no_paths() {
        for good in ["a", "7", "debian-12.img", "a..b", "a_b", &"x".repeat(63)] {
            name(good).unwrap();
        }
        let long = "x".repeat(64);
        let longer = "x".repeat(1 << 20);
        for bad in [
            "", ".", "..", "../a", "a/b", "a\0b", "A", "-a", "a-", ".a", "a.", "ä", "a b", &long,
            &longer,
        ] {
            let status = name(bad).unwrap_err();
            assert!(status.message().len() < 200, "{status}");
        }
    }

    #[test]
    fn hashes_and_keys_are_64_digits() {
        let text = hex(&[0xa7; 32]);
        assert_eq!(text, "a7".repeat(32));
        assert_eq!(hash(&text).unwrap(), [0xa7; 32]);
        for bad in [
            "",
            &text[1..],
            &format!("{text}0"),
            &text.to_uppercase(),
            &text.replace('a', "g"),
            &"ä".repeat(32),
            &"0".repeat(1 << 20),
        ] {
            assert!(hash(bad).is_err());
            assert!(key(bad).is_err());
        }
    }

    #[test]
    fn a_provider_comes_back_as_it_was_said() {
        let key = iroh::SecretKey::from_bytes(&[7; 32]).public();
        let said = Provider {
            key: hex(key.as_bytes()),
            addresses: vec!["192.0.2.1:7".into(), "[2001:db8::1]:8".into()],
            relay: "https://relay.example.org/".into(),
        };
        assert_eq!(provider(&address(&said).unwrap()), said);
        for (addresses, relay) in [
            (vec!["localhost:1"], ""),
            (vec!["1.2.3.4:0"], ""),
            (vec!["0.0.0.0:5"], ""),
            (vec!["1.2.3.4:5"; 17], ""),
            (vec![], "no url"),
            (vec![], &*"x".repeat(257)),
        ] {
            let bad = Provider {
                addresses: addresses.into_iter().map(Into::into).collect(),
                relay: relay.into(),
                ..said.clone()
            };
            assert!(address(&bad).is_err(), "{bad:?}");
        }
    }
}
