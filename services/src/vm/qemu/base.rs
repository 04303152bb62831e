//! Disks that begin as an image: the image is only read, by many machines at once, and what a guest writes goes to an overlay in the
//! folder of its machine. The overlay names no file: QEMU is told what is below it.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
};

use blixard_rpc::{Code, Result, Status};
use serde_json::{Value, json};

use super::image;
use crate::{
    disk::header_of_qcow2,
    full::is_full,
    vm::messages::{Disk, DiskFormat, VmSpec},
};

/// Says where the image of a hash is.
#[derive(Clone)]
pub(super) struct FindBase(Arc<Find>);

type Find = dyn Fn(String) -> Finding + Send + Sync;
type Finding = Pin<Box<dyn Future<Output = Result<PathBuf>> + Send>>;

impl FindBase {
    pub(super) fn new<F>(find: impl Fn(String) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<PathBuf>> + Send + 'static,
    {
        Self(Arc::new(move |hash| Box::pin(find(hash))))
    }
}

impl fmt::Debug for FindBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FindBase")
    }
}

/// Where the images are that the disks of a machine begin as.
#[derive(Debug, Default)]
pub(super) struct Bases(BTreeMap<String, PathBuf>);

impl Bases {
    pub(super) async fn of(spec: &VmSpec, find: Option<&FindBase>) -> Result<Self> {
        let mut bases = BTreeMap::new();
        for disk in spec.disks.iter().filter(|disk| !disk.base.is_empty()) {
            let find = find.ok_or_else(|| {
                Status::failed_precondition(
                    "a disk begins as an image, and this node has none: name a file",
                )
            })?;
            bases.insert(disk.base.clone(), (find.0)(disk.base.clone()).await?);
        }
        Ok(Self(bases))
    }

    /// The file of a disk, or of the image that it begins as.
    pub(super) fn file(&self, disk: &Disk, images: &Path) -> Result<PathBuf> {
        if disk.base.is_empty() {
            return image::find(images, &disk.image);
        }
        if !disk.image.is_empty() {
            return Err(Status::invalid_argument(
                "a disk is a file or begins as an image: name one of the two",
            ));
        }
        let found = self.0.get(&disk.base).cloned();
        found.ok_or_else(|| Status::internal("an image was not looked for"))
    }

    /// Makes the overlays that are not there yet, in the folder of the machine.
    pub(super) fn overlay(&self, spec: &VmSpec, folder: &Path) -> Result<()> {
        for (index, disk) in spec.disks.iter().enumerate() {
            let path = folder.join(name(index));
            if !has_overlay(disk) || path.exists() {
                continue;
            }
            let made = self
                .file(disk, folder)
                .and_then(|base| make(&path, size_of(&base, disk.format)?).map_err(not_made));
            made?;
        }
        Ok(())
    }
}

/// Where the overlay of a disk is, if it has one: it is there from when its machine is started first.
pub(super) fn overlay_of(index: usize, disk: &Disk, folder: &Path) -> Option<PathBuf> {
    has_overlay(disk).then(|| folder.join(name(index)))
}

/// Whether what the guest writes goes to an overlay.
fn has_overlay(disk: &Disk) -> bool {
    !disk.base.is_empty() && !disk.read_only
}

/// What QEMU is told of a disk that is in this file, or begins as it.
pub(super) fn node(index: usize, disk: &Disk, path: &str) -> Value {
    let mut node = json!({
        "driver": if disk.format == DiskFormat::Qcow2 { "qcow2" } else { "raw" },
        "read-only": disk.read_only || has_overlay(disk),
        "file": { "driver": "file", "filename": path },
    });
    if disk.format == DiskFormat::Qcow2 {
        node["backing"] = json!(null);
    }
    if has_overlay(disk) {
        let file = json!({ "driver": "file", "filename": name(index) });
        node = json!({ "driver": "qcow2", "read-only": false, "file": file, "backing": node });
    }
    node["node-name"] = format!("disk{index}").into();
    node
}

fn name(index: usize) -> String {
    format!("disk{index}.qcow2")
}

/// How large the disk is that an image has.
fn size_of(image: &Path, format: DiskFormat) -> Result<u64> {
    let failed = |error: io::Error| {
        Status::unavailable(format!("{} cannot be read: {error}", image.display()))
    };
    if format != DiskFormat::Qcow2 {
        return Ok(fs::metadata(image).map_err(failed)?.len());
    }
    let mut header = Vec::new();
    let file = File::open(image).map_err(failed)?;
    file.take(HEADER_BYTES)
        .read_to_end(&mut header)
        .map_err(failed)?;
    header_of_qcow2(&header)
        .map_err(|why| Status::invalid_argument(format!("the image {} {why}", image.display())))
}

/// Makes a qcow2 of this size that has nothing of its own. It is there whole or not at all.
///
/// Clusters have 64 KiB: the header, a table of tables of references, one of these, and the table of the tables that say where clusters
/// are, which says nothing yet.
fn make(path: &Path, size_bytes: u64) -> io::Result<()> {
    let size_bytes = size_bytes.next_multiple_of(512);
    let tables = size_bytes.div_ceil(CLUSTER * CLUSTER / 8).max(1);
    let clusters = 3 + (tables * 8).div_ceil(CLUSTER);
    let mut header = Vec::new();
    header.extend_from_slice(b"QFI\xfb");
    let mut add = |value: u64, bytes: usize| {
        header.extend_from_slice(&value.to_be_bytes()[8 - bytes..]);
    };
    add(3, 4); // version
    add(0, 8); // no name of what is below it
    add(0, 4);
    add(16, 4); // bits of a cluster
    add(size_bytes, 8);
    add(0, 4); // not encrypted
    add(tables, 4);
    add(3 * CLUSTER, 8); // where they are
    add(CLUSTER, 8); // the references
    add(1, 4);
    add(0, 4); // no snapshots
    add(0, 8);
    add(0, 8); // no features that others need to know
    add(0, 8);
    add(0, 8);
    add(4, 4); // references of 16 bits
    add(HEADER_BYTES, 4);
    let new = path.with_extension("new");
    let file = File::create(&new)?;
    file.set_len(clusters * CLUSTER)?;
    file.write_all_at(&header, 0)?;
    file.write_all_at(&(2 * CLUSTER).to_be_bytes(), CLUSTER)?;
    for cluster in 0..clusters {
        file.write_all_at(&1_u16.to_be_bytes(), 2 * CLUSTER + 2 * cluster)?;
    }
    file.sync_all()?;
    fs::rename(new, path)
}

fn not_made(error: io::Error) -> Status {
    let (code, hint) = if is_full(&error) {
        (Code::ResourceExhausted, ": the disk is full; make room")
    } else {
        (Code::Unavailable, "")
    };
    Status::new(code, format!("an overlay cannot be made: {error}{hint}"))
}

const CLUSTER: u64 = 64 << 10;
const HEADER_BYTES: u64 = 104;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlay_is_a_disk_as_large_as_its_image() {
        let path =
            std::env::temp_dir().join(format!("blixard-overlay-{}.qcow2", std::process::id()));
        for (size, expected) in [
            (1, 512),
            (512, 512),
            (5 << 20, 5 << 20),
            (16 << 40, 16 << 40),
        ] {
            make(&path, size).unwrap();
            assert_eq!(size_of(&path, DiskFormat::Qcow2).unwrap(), expected);
        }
        fs::remove_file(path).unwrap();
    }
}
