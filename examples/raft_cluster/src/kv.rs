//! The key-value store that is replicated: all there is to write of it.

use std::{fmt, io};

use blixard_raft_transport::openraft::{Machine, State};
use serde::{Deserialize, Serialize};

/// What a client can ask to be changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Sets a key.
    Put {
        /// The key.
        key: String,
        /// Its value.
        value: String,
    },
    /// Removes a key.
    Remove {
        /// The key.
        key: String,
    },
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { key, value } => write!(f, "put {key} ({} bytes)", value.len()),
            Self::Remove { key } => write!(f, "remove {key}"),
        }
    }
}

/// The key-value store: each member has one, and all apply the same commands in the same order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kv;

impl Machine for Kv {
    type Command = Command;
    /// Whether the key was there before.
    type Answer = bool;

    fn apply(&self, state: &mut State<'_>, command: Command) -> io::Result<bool> {
        match command {
            Command::Put { key, value } => {
                let before = state.get(key.as_bytes())?.is_some();
                state.put(key.as_bytes(), value.as_bytes())?;
                Ok(before)
            }
            Command::Remove { key } => state.remove(key.as_bytes()),
        }
    }
}
