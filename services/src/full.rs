//! What it looks like when a disk is full.

use std::io::{Error, ErrorKind};

pub(crate) fn is_full(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
    )
}
