//! [`DecodeError`]: why bytes are not the message that they should be.

use std::{borrow::Cow, error::Error as StdError, fmt};

use serde::de;

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
    /// The message may well be right: it is too much.
    Exceeded(Cow<'static, str>),
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

    /// The message would take more than its budget.
    #[cold]
    pub(super) fn exceeded(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Cause::Exceeded(what.into()))
    }

    /// Whether the message was too much, rather than wrong.
    #[must_use]
    pub fn is_exceeded(&self) -> bool {
        matches!(self.0.cause, Cause::Exceeded(_))
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
        let (Cause::Exceeded(what) | Cause::Malformed(what)) = &self.0.cause;
        f.write_str(what)
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

/// How many fields an error names.
const MAX_PATH: usize = 4;
