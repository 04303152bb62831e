//! A snapshot as a file: written beside its place and renamed into it, checked before anything of it is used.
//!
//! ```text
//!  8 bytes    "BLXSNAP1"
//!  4          length of the meta, big endian
//!  ..         the meta, in postcard
//!  repeated   4 length of key, key, 4 length of value, value
//!  4          0xffff_ffff: no more pairs
//!  32         BLAKE3 of all before
//! ```

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Serialize, de::DeserializeOwned};

/// A snapshot that lies in a file. It can be read for as long as a clone of this exists, even if a newer one takes its place.
#[derive(Clone, Debug)]
pub struct SnapshotFile {
    path: Arc<Path>,
    /// Kept open: who reads a snapshot is not disturbed by its removal.
    file: Arc<File>,
}

impl SnapshotFile {
    /// A file that holds a snapshot. Nothing of it is checked yet.
    ///
    /// # Errors
    ///
    /// If it cannot be opened.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        Ok(Self {
            path: path.into(),
            file: Arc::new(File::open(path)?),
        })
    }

    /// Where it was opened. It may have been removed since: read by [`read_at`](Self::read_at).
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How long it is.
    ///
    /// # Errors
    ///
    /// If the file system does not say.
    pub fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Reads at most `buffer.len()` bytes from an offset; fewer only at the end.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match read_once(&self.file, &mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// Makes another file with the same bytes, which is on the disk when this has returned: by a link if that can be.
    pub(super) fn copy_to(&self, path: &Path) -> io::Result<()> {
        if fs::hard_link(&self.path, path).is_ok() {
            let linked = File::open(path)?;
            // Under the same name may be another file by now.
            if linked.metadata()?.len() == self.len_bytes()?
                && Self::open(path)?.id()? == self.id()?
            {
                return linked.sync_all();
            }
            fs::remove_file(path)?;
        }
        let mut copy = File::create(path)?;
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut offset = 0;
        loop {
            let read = self.read_at(&mut buffer, offset)?;
            copy.write_all(&buffer[..read])?;
            offset += read as u64;
            if read < buffer.len() {
                return copy.sync_all();
            }
        }
    }

    /// What names it and its bytes: its checksum, as it is written at its end.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn id(&self) -> io::Result<String> {
        let mut checksum = [0; blake3::OUT_LEN];
        let end = self.len_bytes()?.saturating_sub(blake3::OUT_LEN as u64);
        self.read_at(&mut checksum, end)?;
        Ok(blake3::Hash::from_bytes(checksum).to_hex().to_string())
    }

    /// Reads the meta alone. The checksum is not looked at.
    ///
    /// # Errors
    ///
    /// If this is no snapshot.
    pub fn meta<T: DeserializeOwned>(&self) -> io::Result<T> {
        postcard::from_bytes(&Reader::new(self)?.head()?).map_err(invalid)
    }

    /// Reads all of it once and compares the checksum.
    ///
    /// # Errors
    ///
    /// `InvalidData` if it is not what was written.
    pub fn verify(&self) -> io::Result<()> {
        self.read(|_, _| Ok(()))
    }

    /// Every pair in turn. What was read counts only when this has returned well.
    ///
    /// # Errors
    ///
    /// `InvalidData` if it is not what was written, and what `each` answers.
    pub(super) fn read(
        &self,
        mut each: impl FnMut(&[u8], &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut reader = Reader::new(self)?;
        reader.head()?;
        while let Some((key, value)) = reader.pair()? {
            each(&key, &value)?;
        }
        reader.finish()
    }
}

/// Writes a snapshot. Until [`finish`](Self::finish) it is a file of another name, which is removed if this is dropped.
pub(super) struct SnapshotWriter {
    out: BufWriter<File>,
    hasher: blake3::Hasher,
    temporary: Temporary,
}

impl SnapshotWriter {
    pub(super) fn create(temporary: PathBuf, meta: &impl Serialize) -> io::Result<Self> {
        let file = File::create(&temporary)?;
        let mut this = Self {
            out: BufWriter::with_capacity(BUFFER_BYTES, file),
            hasher: blake3::Hasher::new(),
            temporary: Temporary(Some(temporary)),
        };
        this.write(MAGIC)?;
        this.block(&postcard::to_stdvec(meta).map_err(invalid)?)?;
        Ok(this)
    }

    pub(super) fn pair(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.block(key)?;
        self.block(value)
    }

    /// Puts the file in its place, for good.
    pub(super) fn finish(mut self, place: &Path) -> io::Result<SnapshotFile> {
        self.write(&END.to_be_bytes())?;
        let checksum = self.hasher.finalize();
        self.out.write_all(checksum.as_bytes())?;
        self.out.flush()?;
        self.out.get_ref().sync_all()?;
        let Some(temporary) = self.temporary.0.take() else {
            return Err(io::Error::other("a snapshot is finished once"));
        };
        put_in_place(&temporary, place)?;
        SnapshotFile::open(place)
    }

    fn block(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = u32::try_from(bytes.len())
            .ok()
            .filter(|length| *length != END)
            .ok_or_else(|| invalid("a key or value of 4 GiB or more"))?;
        self.write(&length.to_be_bytes())?;
        self.write(bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.out.write_all(bytes)
    }
}

/// Renames a file, that is on the disk already, so that the new name is on it too.
pub(super) fn put_in_place(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_folder_of(to)
}

/// A name is on the disk when its folder is.
pub(super) fn sync_folder_of(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Removes the file when dropped, unless it was taken out.
struct Temporary(Option<PathBuf>);

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

struct Reader {
    input: BufReader<From>,
    hasher: blake3::Hasher,
    /// What of the file was not read: no length in it may be more.
    left_bytes: u64,
}

impl Reader {
    fn new(file: &SnapshotFile) -> io::Result<Self> {
        let left_bytes = file.len_bytes()?;
        let input = From {
            file: Arc::clone(&file.file),
            at: 0,
        };
        Ok(Self {
            input: BufReader::with_capacity(BUFFER_BYTES, input),
            hasher: blake3::Hasher::new(),
            left_bytes,
        })
    }

    fn head(&mut self) -> io::Result<Vec<u8>> {
        if self.take(MAGIC.len())? != MAGIC {
            return Err(invalid(
                "not a snapshot, or of a version that this one cannot read",
            ));
        }
        let length = self.length()?;
        self.take(length as usize)
    }

    fn pair(&mut self) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
        let length = self.length()?;
        if length == END {
            return Ok(None);
        }
        let key = self.take(length as usize)?;
        let length = self.length()?;
        Ok(Some((key, self.take(length as usize)?)))
    }

    fn finish(mut self) -> io::Result<()> {
        let expected = self.hasher.finalize();
        if self.left_bytes != blake3::OUT_LEN as u64
            || self.take(blake3::OUT_LEN)? != expected.as_bytes()
        {
            return Err(invalid("the snapshot is damaged: its checksum is another"));
        }
        Ok(())
    }

    fn length(&mut self) -> io::Result<u32> {
        let bytes = self.take(4)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        self.left_bytes = self
            .left_bytes
            .checked_sub(length as u64)
            .ok_or_else(|| invalid("the snapshot is damaged: it ends too early"))?;
        let mut bytes = vec![0; length];
        self.input.read_exact(&mut bytes)?;
        self.hasher.update(&bytes);
        Ok(bytes)
    }
}

/// A file read from where this reader is, and not from where others of the same file are.
struct From {
    file: Arc<File>,
    at: u64,
}

impl Read for From {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = read_once(&self.file, buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(unix)]
fn read_once(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_once(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

const MAGIC: &[u8] = b"BLXSNAP1";
/// In place of the length of a key: there are no more pairs.
const END: u32 = u32::MAX;
const BUFFER_BYTES: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> PathBuf {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let next = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("blixard-snapshot-{}-{next}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn written(folder: &Path) -> SnapshotFile {
        let mut writer = SnapshotWriter::create(folder.join("tmp"), &(7_u64, "meta")).unwrap();
        writer.pair(b"a", b"1").unwrap();
        writer.pair(b"", &vec![3; 300_000]).unwrap();
        writer.finish(&folder.join("snapshot")).unwrap()
    }

    #[test]
    fn what_was_written_is_read() {
        let folder = folder();
        let file = written(&folder);
        assert!(!folder.join("tmp").exists());
        assert_eq!(
            file.meta::<(u64, String)>().unwrap(),
            (7, "meta".to_owned())
        );
        let mut pairs = Vec::new();
        // Removed in the meantime, as by a newer one.
        fs::remove_file(file.path()).unwrap();
        file.read(|key, value| {
            pairs.push((key.to_vec(), value.len()));
            Ok(())
        })
        .unwrap();
        assert_eq!(pairs, [(b"a".to_vec(), 1), (Vec::new(), 300_000)]);
    }

    #[test]
    fn every_damage_is_found() {
        let folder = folder();
        let whole = fs::read(written(&folder).path()).unwrap();
        let check = |name: &str, bytes: &[u8]| {
            let path = folder.join("damaged");
            fs::write(&path, bytes).unwrap();
            let error = SnapshotFile::open(&path).unwrap().verify().unwrap_err();
            assert!(
                matches!(
                    error.kind(),
                    io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
                ),
                "{name}: {error}"
            );
        };
        for at in (0..whole.len())
            .step_by(997)
            .chain(0..40)
            .chain(whole.len() - 40..whole.len())
        {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            check(&format!("bit {at}"), &flipped);
            check(&format!("cut at {at}"), &whole[..at]);
        }
        let mut longer = whole.clone();
        longer.push(0);
        check("longer", &longer);
    }

    #[test]
    fn what_is_not_finished_leaves_nothing() {
        let folder = folder();
        let mut writer = SnapshotWriter::create(folder.join("tmp"), &0_u8).unwrap();
        writer.pair(b"a", b"1").unwrap();
        drop(writer);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }
}
