//! [`OutgoingSnapshot`] and [`ReceivedSnapshot`]: snapshots as the engine gives and takes them. How they travel is not known here.

use std::{
    fs, io, mem,
    path::{Path, PathBuf},
};

use bytes::Bytes;

/// A snapshot to be uploaded.
#[derive(Debug)]
pub struct OutgoingSnapshot<R> {
    /// What names it and its bytes, of 1 to [`MAX_ID_BYTES`] bytes: where an upload was cut, one of the same id goes on.
    pub id: String,
    /// The sender's term.
    pub term: u64,
    /// What the engine says of it, at most 1 MiB: its meta data, or the message that it belongs to.
    pub payload: Bytes,
    /// How many bytes it has.
    pub total_bytes: u64,
    /// Where they are read, which must not change meanwhile: a file that is open, for example.
    pub source: R,
}

/// The longest id of a snapshot.
pub const MAX_ID_BYTES: usize = 256;

/// A snapshot that has come whole, and was checked.
///
/// Its file is removed when this is dropped, unless it was [kept](Self::keep).
#[derive(Debug)]
pub struct ReceivedSnapshot {
    id: String,
    term: u64,
    payload: Bytes,
    total_bytes: u64,
    file: TemporaryFile,
}

impl ReceivedSnapshot {
    pub(crate) const fn new(
        id: String,
        term: u64,
        payload: Bytes,
        total_bytes: u64,
        file: TemporaryFile,
    ) -> Self {
        Self {
            id,
            term,
            payload,
            total_bytes,
            file,
        }
    }

    /// What names it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The sender's term.
    #[must_use]
    pub const fn term(&self) -> u64 {
        self.term
    }

    /// What the sender's engine says of it.
    #[must_use]
    pub const fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// How many bytes it has.
    #[must_use]
    pub const fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// Where its bytes are, for as long as this lives. They are written, and not yet synced to the disk.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file.0
    }

    /// Moves its bytes to this path, which is on the same file system; they are synced before, and the directory after.
    ///
    /// # Errors
    /// The file cannot be synced or moved; then it is removed.
    pub fn keep(self, path: &Path) -> io::Result<()> {
        fs::File::open(&self.file.0)?.sync_all()?;
        fs::rename(&self.file.0, path)?;
        // Nothing is there any more to be removed.
        let mut file = self.file;
        file.0 = PathBuf::new();
        match path.parent() {
            Some(directory) if !directory.as_os_str().is_empty() => {
                fs::File::open(directory)?.sync_all()
            }
            _ => fs::File::open(".")?.sync_all(),
        }
    }
}

/// A file that is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct TemporaryFile(pub(crate) PathBuf);

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let path = mem::take(&mut self.0);
        if path.as_os_str().is_empty() {
            return;
        }
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "cannot remove what came of a snapshot");
        }
    }
}
