//! [`DecodeError`]: why bytes are not the message that they should be.

use std::{borrow::Cow, error::Error as StdError, fmt};

use serde::de;

use super::{MAX_DEPTH, MEMORY_FACTOR, MEMORY_FLOOR_BYTES};
use crate::status::Status;

/// Why bytes are not the message that they should be, and in which field.
///
/// One pointer in size: a good decode pays little for it.
pub struct DecodeError(Box<Inner>);

struct Inner {
    cause: Cause,
    /// From the innermost field outwards: type and field.
    path: Vec<(&'static str, &'static str)>,
}

enum Cause {
    Depth,
    Memory,
    Malformed(Cow<'static, str>),
}

impl DecodeError {
    /// The bytes are malformed.
    #[cold]
    pub fn malformed(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Cause::Malformed(what.into()))
    }

    /// An enum with data of which no variant is set that is known here.
    #[cold]
    #[must_use]
    pub fn unset(name: &'static str) -> Self {
        Self::malformed(format!(
            "no variant of {name} is set that is known here: a newer peer may have more, for which a variant with `#[unknown]` \
             can stand"
        ))
    }

    /// The messages lie deeper in one another than [`MAX_DEPTH`].
    #[cold]
    pub(crate) fn depth() -> Self {
        Self::new(Cause::Depth)
    }

    /// The message would take more memory than it may.
    #[cold]
    pub(crate) fn memory() -> Self {
        Self::new(Cause::Memory)
    }

    fn new(cause: Cause) -> Self {
        Self(Box::new(Inner {
            cause,
            path: Vec::new(),
        }))
    }

    /// Says in which field of which type it was. Called from the inside out; only the innermost few are kept.
    #[cold]
    #[must_use]
    pub fn within(mut self, name: &'static str, field: &'static str) -> Self {
        if self.0.path.len() < MAX_PATH {
            self.0.path.push((name, field));
        }
        self
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, field) in self.0.path.iter().rev() {
            write!(f, "{name}.{field}: ")?;
        }
        match &self.0.cause {
            Cause::Depth => write!(f, "messages lie more than {MAX_DEPTH} levels deep"),
            Cause::Memory => write!(
                f,
                "the message would take more memory than {MEMORY_FACTOR} times its length and {MEMORY_FLOOR_BYTES} bytes: \
                 box what is large and mostly absent, or send less at once"
            ),
            Cause::Malformed(what) => f.write_str(what),
        }
    }
}

impl fmt::Debug for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DecodeError({self})")
    }
}

impl StdError for DecodeError {}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::malformed(message.to_string())
    }
}

impl From<prost::DecodeError> for DecodeError {
    #[cold]
    fn from(error: prost::DecodeError) -> Self {
        Self::malformed(error.to_string())
    }
}

impl From<DecodeError> for Status {
    fn from(error: DecodeError) -> Self {
        let message = format!("cannot decode the message: {error}");
        match error.0.cause {
            Cause::Depth | Cause::Memory => Self::resource_exhausted(message),
            Cause::Malformed(_) => Self::internal(message),
        }
    }
}

/// How many fields an error names.
const MAX_PATH: usize = 4;
