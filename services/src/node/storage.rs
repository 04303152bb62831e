//! [`Storage`]: a probe of a folder: whether something can be written there, and how much room is left.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use tokio::task::JoinHandle;

use super::{condition::Condition, probe::Probe};
use crate::full::is_full;

/// Writes a little to a folder, forces it to the disk and removes it again; and asks how much room is left.
///
/// A disk that does not answer holds up one thread, however often it is asked.
#[derive(Debug)]
pub struct Storage {
    folder: PathBuf,
    low_bytes: u64,
    /// A question that has no answer yet.
    asked: Option<JoinHandle<Condition>>,
}

impl Storage {
    /// Of this folder; degraded when less room than `low_bytes` is left on its disk.
    pub fn new(folder: impl Into<PathBuf>, low_bytes: u64) -> Self {
        Self {
            folder: folder.into(),
            low_bytes,
            asked: None,
        }
    }
}

impl Probe for Storage {
    async fn probe(&mut self) -> Condition {
        let asked = self.asked.get_or_insert_with(|| {
            let (folder, low_bytes) = (self.folder.clone(), self.low_bytes);
            tokio::task::spawn_blocking(move || look(&folder, low_bytes))
        });
        let answer = asked.await;
        self.asked = None;
        answer.unwrap_or_else(|error| Condition::NotServing(format!("it cannot be asked: {error}")))
    }
}

fn look(folder: &Path, low_bytes: u64) -> Condition {
    if let Err(error) = write(&folder.join(FILE)) {
        let hint = if is_full(&error) {
            ": the disk is full; make room"
        } else {
            ""
        };
        return Condition::NotServing(format!(
            "{} cannot be written to: {error}{hint}",
            folder.display()
        ));
    }
    match rustix::fs::statvfs(folder) {
        Ok(disk) => {
            let left = disk.f_bavail.saturating_mul(disk.f_frsize);
            if left >= low_bytes {
                return Condition::Serving;
            }
            Condition::Degraded(format!(
                "{} has {} MiB left, and is to have {}: make room",
                folder.display(),
                left >> 20,
                low_bytes >> 20
            ))
        }
        Err(error) => Condition::NotServing(format!(
            "{} does not say how much room is left: {error}",
            folder.display()
        )),
    }
}

fn write(path: &Path) -> io::Result<()> {
    let mut file = File::create(path)?;
    let written = file
        .write_all(&[0x5a; PROBE_BYTES])
        .and_then(|()| file.sync_all());
    // What a full disk has let in of it is given back.
    let removed = fs::remove_file(path);
    written.and(removed)
}

/// Of this process alone, and always the same: whoever is killed leaves one file at most.
const FILE: &str = ".probe";
/// A block of most file systems.
const PROBE_BYTES: usize = 4096;
