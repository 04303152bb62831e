//! [`Input`]: reading protobuf, within a [`Budget`].

use std::mem;

use bytes::{Buf, Bytes};
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use super::{Budget, DecodeError};

/// What is left to read of one message, and of the budget that it may take.
#[derive(Debug)]
pub struct Input<'a> {
    source: &'a Bytes,
    rest: &'a [u8],
    budget: Budget,
}

impl<'a> Input<'a> {
    /// A whole message.
    #[must_use]
    pub fn new(source: &'a Bytes) -> Self {
        Self {
            source,
            rest: source,
            budget: Budget::for_message(source.len()),
        }
    }

    /// The key of the next field; `None` at the end of the message.
    ///
    /// # Errors
    /// The bytes are no key.
    #[inline]
    pub fn key(&mut self) -> Result<Option<(u32, WireType)>, DecodeError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        Ok(Some(decode_key(&mut self.rest)?))
    }

    /// Skips the value of a field that is not known here.
    ///
    /// # Errors
    /// The bytes are no such value.
    pub fn skip(&mut self, tag: u32, wire: WireType) -> Result<(), DecodeError> {
        Ok(skip_field(
            wire,
            tag,
            &mut self.rest,
            DecodeContext::default(),
        )?)
    }

    /// Checks how a value is encoded.
    #[inline]
    pub(super) fn expect(&self, expected: WireType, actual: WireType) -> Result<(), DecodeError> {
        if expected == actual {
            return Ok(());
        }
        Err(DecodeError::malformed(format!(
            "expected the wire type {expected:?}, found {actual:?}"
        )))
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, DecodeError> {
        Ok(decode_varint(&mut self.rest)?)
    }

    #[inline]
    pub(super) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (value, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or_else(|| DecodeError::malformed(TRUNCATED))?;
        self.rest = rest;
        Ok(*value)
    }

    /// A run of bytes with its length before it.
    #[inline]
    pub(super) fn slice(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.varint()?;
        let (value, rest) = usize::try_from(len)
            .ok()
            .and_then(|len| self.rest.split_at_checked(len))
            .ok_or_else(|| DecodeError::malformed(TRUNCATED))?;
        self.rest = rest;
        Ok(value)
    }

    /// The same as [`slice`](Self::slice), without a copy, as part of the message's own buffer.
    #[inline]
    pub(super) fn bytes(&mut self) -> Result<Bytes, DecodeError> {
        let slice = self.slice()?;
        Ok(self.source.slice_ref(slice))
    }

    /// Reads what lies in the next run of bytes, all of it, by `read`.
    #[inline]
    pub(super) fn within<R>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<R, DecodeError>,
    ) -> Result<R, DecodeError> {
        let inner = self.slice()?;
        let outer = mem::replace(&mut self.rest, inner);
        let value = read(self)?;
        debug_assert!(!self.rest.has_remaining());
        self.rest = outer;
        Ok(value)
    }

    /// Reads a nested message by `read`, one level deeper.
    ///
    /// # Errors
    /// What `read` answers, or it lies too deep, or the bytes end before it does.
    #[inline]
    pub fn nested<R>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<R, DecodeError>,
    ) -> Result<R, DecodeError> {
        self.budget.enter::<R>()?;
        let value = self.within(read)?;
        self.budget.leave::<R>();
        Ok(value)
    }

    /// The same, where it is not certain yet how it is encoded.
    ///
    /// # Errors
    /// The same, or it is not encoded as a message.
    #[inline]
    pub fn message<R>(
        &mut self,
        wire: WireType,
        read: impl FnOnce(&mut Self) -> Result<R, DecodeError>,
    ) -> Result<R, DecodeError> {
        self.expect(WireType::LengthDelimited, wire)?;
        self.nested(read)
    }

    /// Reads, by `read`, a message that is not there: one without any field, one level deeper.
    ///
    /// # Errors
    /// What `read` answers, or it lies too deep.
    #[inline]
    pub fn absent<R>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<R, DecodeError>,
    ) -> Result<R, DecodeError> {
        self.budget.enter::<R>()?;
        let outer = mem::take(&mut self.rest);
        let value = read(self)?;
        self.rest = outer;
        self.budget.leave::<R>();
        Ok(value)
    }

    /// Whether everything was read.
    #[inline]
    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What is left.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// What is left of depth and memory.
    #[inline]
    pub(super) const fn budget(&mut self) -> &mut Budget {
        &mut self.budget
    }
}

const TRUNCATED: &str = "the message ends in the middle of a value";
