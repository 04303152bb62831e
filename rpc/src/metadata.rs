//! Metadata: the ordered key-value pairs that travel beside a call's messages.

use std::{borrow::Cow, fmt};

use bytes::Bytes;

/// What each entry counts beside its key and value, as HTTP/2 counts headers
/// ([RFC 9113, section 6.5.2](https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2)).
pub const ENTRY_OVERHEAD_BYTES: usize = 32;

/// The keys beside `grpc-...` that no metadata has: the headers that gRPC or HTTP/2 itself sends with each call, and those that HTTP/2
/// forbids ([RFC 9113, section 8.2.2](https://www.rfc-editor.org/rfc/rfc9113#section-8.2.2)).
pub const RESERVED_KEYS: [&str; 10] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

/// An ordered multimap of metadata entries.
///
/// Keys are lower-case ASCII letters, digits, `_`, `-` and `.`. A key that ends in `-bin` holds any bytes; every other one holds
/// printable ASCII text. Keys that begin with `grpc-`, and the few in [`RESERVED_KEYS`], are the transport's own. These are the rules of
/// [gRPC over HTTP/2](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md), so that metadata crosses every transport unchanged.
#[derive(Clone, Default)]
pub struct Metadata {
    /// Behind one pointer: most calls have no entries, and every request and response that moves carries this field twice.
    #[allow(clippy::box_collection, reason = "see above")]
    entries: Option<Box<Vec<Entry>>>,
}

type Entry = (Cow<'static, str>, Bytes);

impl Metadata {
    /// No entries; allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: None }
    }

    /// Sets `key` to one text value, in place of all that it had.
    ///
    /// # Errors
    /// The key is reserved, or it or the value has a character that metadata cannot carry.
    pub fn insert(
        &mut self,
        key: impl Into<Cow<'static, str>>,
        value: impl Into<String>,
    ) -> Result<(), InvalidMetadata> {
        let key = key.into();
        check_text_key(&key)?;
        let value = check_text(value.into())?;
        self.remove(&key);
        self.entries_mut().push((key, value));
        Ok(())
    }

    /// Sets the number of attempts before this one, under the key that gRPC has for it and applications cannot set.
    ///
    /// As the [gRPC retry design](https://github.com/grpc/proposal/blob/master/A6-client-retries.md) has it.
    pub(crate) fn set_previous_attempts(&mut self, attempts_before: u32) {
        self.remove(PREVIOUS_ATTEMPTS);
        let value = attempts_before.to_string().into();
        self.entries_mut().push((PREVIOUS_ATTEMPTS.into(), value));
    }

    /// Adds a text value to those that `key` has.
    ///
    /// # Errors
    /// The key is reserved, or it or the value has a character that metadata cannot carry.
    pub fn append(
        &mut self,
        key: impl Into<Cow<'static, str>>,
        value: impl Into<String>,
    ) -> Result<(), InvalidMetadata> {
        let key = key.into();
        check_text_key(&key)?;
        self.entries_mut().push((key, check_text(value.into())?));
        Ok(())
    }

    /// Adds a binary value to those that `key`, which must end in `-bin`, has.
    ///
    /// # Errors
    /// The key is reserved, has a character that metadata cannot carry, or does not end in `-bin`.
    pub fn append_bin(
        &mut self,
        key: impl Into<Cow<'static, str>>,
        value: impl Into<Bytes>,
    ) -> Result<(), InvalidMetadata> {
        let key = key.into();
        check_key(&key)?;
        check_not_grpc(&key)?;
        if !is_binary(&key) {
            return Err(InvalidMetadata::KeyNotBinary(key.into_owned()));
        }
        self.entries_mut().push((key, value.into()));
        Ok(())
    }

    /// Adds an entry as a peer sent it, under the same rules, except that its key may begin with `grpc-`: such entries are for
    /// transports and middleware, and newer peers may have more of them.
    ///
    /// # Errors
    /// The key or the value breaks the rules of its kind.
    pub fn append_raw(&mut self, key: String, value: Bytes) -> Result<(), InvalidMetadata> {
        check_key(&key)?;
        if !is_binary(&key) && !value.iter().all(|byte| (0x20..=0x7e).contains(byte)) {
            return Err(InvalidMetadata::Value);
        }
        self.entries_mut().push((key.into(), value));
        Ok(())
    }

    /// The first text value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.get_all(key).next()
    }

    /// All text values of `key`, in order.
    pub fn get_all<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a str> {
        self.values(key)
            .filter(move |_| !is_binary(key))
            .filter_map(|value| std::str::from_utf8(value).ok())
    }

    /// The first binary value of `key`, which ends in `-bin`.
    #[must_use]
    pub fn get_bin(&self, key: &str) -> Option<&Bytes> {
        self.values(key).next().filter(|_| is_binary(key))
    }

    /// Removes all values of `key`; tells whether there was one.
    pub fn remove(&mut self, key: &str) -> bool {
        let Some(entries) = &mut self.entries else {
            return false;
        };
        let before = entries.len();
        entries.retain(|(name, _)| name != key);
        entries.len() != before
    }

    /// Adds all entries of `other` behind those that are here.
    pub fn extend(&mut self, other: Self) {
        if self.is_empty() {
            self.entries = other.entries;
        } else if let Some(others) = other.entries {
            self.entries_mut().extend(*others);
        }
    }

    /// All entries in order, text and binary, as bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        self.entries()
            .iter()
            .map(|(key, value)| (key.as_ref(), value))
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries().len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries().is_empty()
    }

    /// The size that limits are compared with: keys, values and [`ENTRY_OVERHEAD_BYTES`] an entry.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.entries()
            .iter()
            .map(|(key, value)| key.len() + value.len() + ENTRY_OVERHEAD_BYTES)
            .sum()
    }

    fn values<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a Bytes> {
        self.entries()
            .iter()
            .filter(move |(name, _)| name == key)
            .map(|(_, value)| value)
    }

    fn entries(&self) -> &[Entry] {
        self.entries.as_ref().map_or(&[], |entries| entries)
    }

    fn entries_mut(&mut self) -> &mut Vec<Entry> {
        self.entries.get_or_insert_default()
    }
}

impl PartialEq for Metadata {
    fn eq(&self, other: &Self) -> bool {
        self.entries() == other.entries()
    }
}

impl Eq for Metadata {}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.entries().iter().map(|(key, value)| (key, value)))
            .finish()
    }
}

/// Why an entry cannot be metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidMetadata {
    /// A key is empty or has a character outside `a-z 0-9 _ - .`.
    Key(String),
    /// A key is one that gRPC or HTTP/2 reserves: it begins with `grpc-` or is one of [`RESERVED_KEYS`].
    KeyReserved(String),
    /// A binary value was given to a key that does not end in `-bin`.
    KeyNotBinary(String),
    /// A text value was given to a key that ends in `-bin`.
    KeyBinary(String),
    /// A text value has a character that is not printable ASCII.
    Value,
}

impl fmt::Display for InvalidMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write!(
                f,
                "metadata key {key:?} is empty or has a character other than a-z, 0-9, '_', '-' and '.'"
            ),
            Self::KeyReserved(key) => write!(
                f,
                "metadata key {key:?} is reserved by gRPC or HTTP/2, whose transports set it themselves; choose another, such as \"x-{key}\""
            ),
            Self::KeyNotBinary(key) => write!(
                f,
                "metadata key {key:?} has a binary value and must end in \"-bin\""
            ),
            Self::KeyBinary(key) => write!(
                f,
                "metadata key {key:?} ends in \"-bin\": give it bytes with `append_bin`"
            ),
            Self::Value => f.write_str(
                "a metadata value has a character that is not printable ASCII; use a \"-bin\" key for bytes",
            ),
        }
    }
}

impl std::error::Error for InvalidMetadata {}

/// Where a server reads how often a call was tried before.
const PREVIOUS_ATTEMPTS: &str = "grpc-previous-rpc-attempts";

fn is_binary(key: &str) -> bool {
    key.ends_with("-bin")
}

fn check_key(key: &str) -> Result<(), InvalidMetadata> {
    let valid = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.')
    };
    if key.is_empty() || !key.bytes().all(valid) {
        return Err(InvalidMetadata::Key(key.to_owned()));
    }
    if RESERVED_KEYS.contains(&key) {
        return Err(InvalidMetadata::KeyReserved(key.to_owned()));
    }
    Ok(())
}

fn check_not_grpc(key: &str) -> Result<(), InvalidMetadata> {
    if key.starts_with("grpc-") {
        return Err(InvalidMetadata::KeyReserved(key.to_owned()));
    }
    Ok(())
}

fn check_text_key(key: &str) -> Result<(), InvalidMetadata> {
    check_key(key)?;
    check_not_grpc(key)?;
    if is_binary(key) {
        return Err(InvalidMetadata::KeyBinary(key.to_owned()));
    }
    Ok(())
}

fn check_text(value: String) -> Result<Bytes, InvalidMetadata> {
    if value.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) {
        Ok(value.into())
    } else {
        Err(InvalidMetadata::Value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_keep_their_order_and_repeat() {
        let mut metadata = Metadata::new();
        metadata.append("b", "1").unwrap();
        metadata.append("a", "2").unwrap();
        metadata.append("b", "3").unwrap();
        assert_eq!(metadata.get_all("b").collect::<Vec<_>>(), ["1", "3"]);
        metadata.insert("b", "4").unwrap();
        assert_eq!(metadata.get_all("b").collect::<Vec<_>>(), ["4"]);
        assert_eq!(metadata.size_bytes(), 2 * (1 + 1 + ENTRY_OVERHEAD_BYTES));
    }

    #[test]
    fn what_grpc_cannot_carry_is_refused() {
        let mut metadata = Metadata::new();
        for key in ["", "Upper", "sp ace", "ü", "a:b"] {
            assert!(metadata.append(key, "x").is_err(), "{key}");
        }
        assert!(metadata.append("a", "line\nbreak").is_err());
        assert!(metadata.append("a-bin", "text").is_err());
        assert!(metadata.append_bin("a", vec![0]).is_err());
        metadata.append_bin("a-bin", vec![0, 255]).unwrap();
        assert_eq!(metadata.get_bin("a-bin").unwrap()[..], [0, 255]);
        assert_eq!(metadata.get("a-bin"), None);
    }

    #[test]
    fn what_grpc_and_http2_reserve_is_refused() {
        let reserved = |key: &str| Err(InvalidMetadata::KeyReserved(key.to_owned()));
        let mut metadata = Metadata::new();
        for key in RESERVED_KEYS {
            assert_eq!(metadata.insert(key, "x"), reserved(key));
            assert_eq!(metadata.append(key, "x"), reserved(key));
            let raw = metadata.append_raw(key.to_owned(), Bytes::from_static(b"x"));
            assert_eq!(raw, reserved(key));
        }
        for key in ["grpc-timeout", "grpc-status", "grpc-anything"] {
            assert_eq!(metadata.insert(key, "x"), reserved(key));
            assert_eq!(metadata.append(key, "x"), reserved(key));
        }
        let key = "grpc-status-details-bin";
        assert_eq!(metadata.append_bin(key, vec![0]), reserved(key));
        assert!(metadata.is_empty());
        for key in ["grpc", "x-grpc-timeout", "tea", "hosts", "server"] {
            metadata.append(key, "x").unwrap();
        }
    }

    #[test]
    fn attempts_are_told_and_received() {
        let mut sent = Metadata::new();
        sent.set_previous_attempts(1);
        sent.set_previous_attempts(2);
        assert_eq!(sent.len(), 1);
        let mut received = Metadata::new();
        for (key, value) in sent.iter() {
            received.append_raw(key.to_owned(), value.clone()).unwrap();
        }
        assert_eq!(received.get(PREVIOUS_ATTEMPTS), Some("2"));
    }
}
