//! The files that machines are made of, and nodes give to each other: all lie below one folder, and a disk is nothing but itself.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

use blixard_rpc::{Result, Status};

/// The longest name of an image.
const MAX_NAME_BYTES: usize = 512;

/// The file with this name below the folder, and never one beside it, whatever the name or a link on the way says.
pub(crate) fn find(images: &Path, name: &str) -> Result<PathBuf> {
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

/// Refuses what begins like anything but the content of a disk: a mistake, or encrypted.
#[cfg(feature = "image-host")]
pub(crate) fn header_of_raw(header: &[u8]) -> Result<(), &'static str> {
    match OTHERS.iter().find(|(magic, _)| header.starts_with(magic)) {
        Some((_, why)) => Err(why),
        None => Ok(()),
    }
}

/// How large the disk of a qcow2 is, by its header. Refuses what is none, and what would have QEMU open another file or ask for a key. The
/// fields are big endian, and at places of their own.
pub(crate) fn header_of_qcow2(header: &[u8]) -> Result<u64, &'static str> {
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
    let size = at(24, 8).ok_or("is cut off")?;
    match version {
        2 => Ok(size),
        3 if at(72, 8).ok_or("is cut off")? & EXTERNAL_DATA != 0 => {
            Err("has an external data file: make it one of its own, by `qemu-img convert`")
        }
        3 => Ok(size),
        _ => Err("is a qcow2 of an unknown version"),
    }
}

/// How other kinds of files begin.
#[cfg(feature = "image-host")]
const OTHERS: [(&[u8], &str); 5] = [
    (b"QFI\xfb", "is a qcow2, and not raw: say so"),
    (
        b"LUKS\xba\xbe",
        "is encrypted: make it plain, by `qemu-img convert`",
    ),
    (
        b"KDMV",
        "is a VMDK, and not raw: make it raw or qcow2, by `qemu-img convert`",
    ),
    (
        b"vhdxfile",
        "is a VHDX, and not raw: make it raw or qcow2, by `qemu-img convert`",
    ),
    (
        b"QED\0",
        "is a QED, and not raw: make it raw or qcow2, by `qemu-img convert`",
    ),
];

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
        let mut sized = header(2);
        sized[30] = 1;
        assert_eq!(header_of_qcow2(&sized), Ok(256));
        assert_eq!(header_of_qcow2(&header(3)), Ok(0));
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
