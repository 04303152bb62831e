//! The files that machines are made of: all lie below one folder, and a disk is nothing but itself.

use std::{fs::File, io::Read as _, path::Path};

use blixard_rpc::{Result, Status};
use bytes::Bytes;

use crate::vm::messages::TransferFile;

pub(super) use crate::disk::find;
use crate::disk::header_of_qcow2;

/// What a file is known by on another node. It reads all of it.
pub(super) fn hash(name: String, path: &Path) -> Result<TransferFile> {
    let unread = |error| Status::unavailable(format!("{name:?} cannot be read: {error}"));
    let mut file = File::open(path).map_err(unread)?;
    let mut hasher = blake3::Hasher::new();
    let size_bytes = std::io::copy(&mut file, &mut hasher).map_err(unread)?;
    let hash = Bytes::copy_from_slice(hasher.finalize().as_bytes());
    Ok(TransferFile {
        name,
        size_bytes,
        hash,
    })
}

/// Refuses what is no qcow2, and what would have QEMU open another file or ask for a key.
pub(super) fn check_qcow2(path: &Path, name: &str) -> Result<()> {
    let mut header = Vec::new();
    File::open(path)
        .and_then(|file| file.take(HEADER_BYTES).read_to_end(&mut header))
        .map_err(|error| Status::unavailable(format!("{name:?} cannot be read: {error}")))?;
    header_of_qcow2(&header)
        .map(drop)
        .map_err(|why| Status::invalid_argument(format!("the image {name:?} {why}")))
}

const HEADER_BYTES: u64 = 104;
