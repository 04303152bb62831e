//! The files that machines are made of: all lie below one folder, and a disk is nothing but itself.

use std::{
    fs::{self, File},
    io::Read as _,
    path::{Component, Path, PathBuf},
};

use blixard_rpc::{Result, Status};
use bytes::Bytes;

use crate::vm::messages::TransferFile;

/// The longest name of an image.
const MAX_NAME_BYTES: usize = 512;

/// The file with this name below the folder, and never one beside it, whatever the name or a link on the way says.
pub(super) fn find(images: &Path, name: &str) -> Result<PathBuf> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains('\0') {
        return Err(Status::invalid_argument(format!(
            "the name of an image has 1 to {MAX_NAME_BYTES} bytes, and no NUL"
        )));
    }
    let inside = Path::new(name)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let outside = || {
        Status::invalid_argument(format!(
            "the image {name:?} is not below the node's images: name it relative to them"
        ))
    };
    if !inside {
        return Err(outside());
    }
    let path = images.join(name).canonicalize().map_err(|error| {
        Status::not_found(format!(
            "there is no image {name:?} below {}: {error}",
            images.display()
        ))
    })?;
    if !path.starts_with(images) {
        return Err(outside());
    }
    if !fs::metadata(&path).is_ok_and(|found| found.is_file()) {
        return Err(Status::invalid_argument(format!(
            "the image {name:?} is no file"
        )));
    }
    Ok(path)
}

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
        .map_err(|why| Status::invalid_argument(format!("the image {name:?} {why}")))
}

/// The fields of a header are big endian, and at places of their own.
fn header_of_qcow2(header: &[u8]) -> Result<(), &'static str> {
    let at = |place: usize, bytes: usize| {
        let field = header.get(place..place + bytes)?;
        Some(
            field
                .iter()
                .fold(0_u64, |number, byte| number << 8 | u64::from(*byte)),
        )
    };
    if at(0, 4) != Some(u64::from(u32::from_be_bytes(*b"QFI\xfb"))) {
        return Err("is no qcow2");
    }
    let version = at(4, 4).ok_or("is cut off")?;
    if at(8, 8).ok_or("is cut off")? != 0 {
        return Err("has a backing file: make it one of its own, by `qemu-img convert`");
    }
    if at(32, 4).ok_or("is cut off")? != 0 {
        return Err("is encrypted");
    }
    match version {
        2 => Ok(()),
        3 if at(72, 8).ok_or("is cut off")? & EXTERNAL_DATA != 0 => {
            Err("has an external data file: make it one of its own, by `qemu-img convert`")
        }
        3 => Ok(()),
        _ => Err("is a qcow2 of an unknown version"),
    }
}

const HEADER_BYTES: u64 = 104;
const EXTERNAL_DATA: u64 = 1 << 2;

#[cfg(test)]
mod tests {
    use super::header_of_qcow2;

    fn header(version: u8) -> Vec<u8> {
        let mut header = vec![0; 104];
        header[..4].copy_from_slice(b"QFI\xfb");
        header[7] = version;
        header
    }

    #[test]
    fn a_disk_is_nothing_but_itself() {
        assert_eq!(header_of_qcow2(&header(2)), Ok(()));
        assert_eq!(header_of_qcow2(&header(3)), Ok(()));
        for (place, version) in [(15, 2), (15, 3), (35, 2), (35, 3), (7, 9), (0, 3)] {
            let mut bad = header(version);
            bad[place] = 4;
            assert!(header_of_qcow2(&bad).is_err(), "{place}");
        }
        let mut external = header(3);
        external[79] = 4;
        assert!(header_of_qcow2(&external).is_err());
        for length in 0..80 {
            assert!(header_of_qcow2(&header(3)[..length]).is_err(), "{length}");
        }
    }
}
