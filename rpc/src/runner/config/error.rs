//! [`ConfigError`]: all that is wrong with a configuration, each with its key, its value and what is allowed.

use std::{error::Error, fmt};

/// What is wrong with a configuration, all of it at once: a line for each mistake, with the key, the value and what is allowed.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigError(pub(super) Vec<Mistake>);

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    /// Where it was read: a file and a line, or the name of a variable.
    pub(super) origin: String,
    /// The key and the value, as `key = value`, or what else is meant.
    pub(super) what: String,
    /// What is wrong with it, and what would be right.
    pub(super) why: String,
}

impl ConfigError {
    pub(super) fn one(
        origin: impl Into<String>,
        what: impl Into<String>,
        why: impl Into<String>,
    ) -> Self {
        Self(vec![Mistake {
            origin: origin.into(),
            what: what.into(),
            why: why.into(),
        }])
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Mistake { origin, what, why }) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            if !origin.is_empty() {
                write!(f, "{origin}: ")?;
            }
            write!(f, "{what}: {why}")?;
        }
        Ok(())
    }
}

/// As `main` prints the error that it returns.
impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for ConfigError {}
