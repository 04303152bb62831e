//! [`Stamp`]: by what a change of a file is noticed without reading it.

use std::{fs::Metadata, io, os::unix::fs::MetadataExt as _, path::Path};

use blixard_rpc::message;

/// How a file was: which one, how long, and when it was touched. Whoever writes to it changes the times, and cannot set the one of its
/// status back.
#[message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    size_bytes: u64,
    modified_s: i64,
    modified_ns: i64,
    changed_s: i64,
    changed_ns: i64,
}

impl Stamp {
    /// How the file is now.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        std::fs::metadata(path).map(|found| Self::from(&found))
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }
}

impl From<&Metadata> for Stamp {
    fn from(found: &Metadata) -> Self {
        Self {
            inode: found.ino(),
            size_bytes: found.len(),
            modified_s: found.mtime(),
            modified_ns: found.mtime_nsec(),
            changed_s: found.ctime(),
            changed_ns: found.ctime_nsec(),
        }
    }
}
