//! [`PeersError`]: all that is wrong with a file of peers.

use std::{error::Error, fmt};

/// What is wrong with a file of peers, all of it at once: a line for each mistake, with the place, what is there, and what is allowed.
#[derive(Clone, PartialEq, Eq)]
pub struct PeersError(pub(super) Vec<String>);

impl fmt::Display for PeersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

/// As `main` prints the error that it returns.
impl fmt::Debug for PeersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for PeersError {}
