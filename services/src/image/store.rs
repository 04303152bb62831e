//! [`Records`]: what is kept of images, in one file that only one daemon opens at a time. What [`Records::change`] has answered is there
//! after a crash; a change is there whole or not at all, and what is read is on disk.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use blixard_rpc::{Result, Status, message};
use bytes::Bytes;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use tokio::sync::Mutex as AsyncMutex;

use super::{messages::ImageFormat, stamp::Stamp, valid::Word};
use crate::kept::{self, Failure, decode, encode};

/// A name, and what it leads to. Its bytes on disk are protobuf, so that older records are read by newer daemons.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Name {
    pub(super) hash: Bytes,
    pub(super) format: ImageFormat,
    pub(super) readers: Vec<String>,
    pub(super) created_at: SystemTime,
    /// It is shared from a file.
    pub(super) shared: bool,
}

impl Name {
    pub(super) fn hash(&self) -> Word {
        // What is no hash leads nowhere.
        Word::try_from(&*self.hash).unwrap_or_default()
    }
}

/// A content.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Blob {
    pub(super) size_bytes: u64,
    pub(super) here: Here,
    /// Where it lies, if it was shared.
    pub(super) file: Option<Shared>,
    pub(super) used_at: SystemTime,
}

/// How much of a content is here.
#[message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Here {
    #[default]
    Nothing = 0,
    Some = 1,
    All = 2,
    #[unknown]
    Other(i32),
}

/// A file that was shared, and how it was then.
#[message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shared {
    /// Relative to the node's images.
    pub(super) file: String,
    pub(super) stamp: Stamp,
}

/// All that is kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) names: BTreeMap<String, Name>,
    pub(super) blobs: BTreeMap<Word, Blob>,
}

impl Known {
    /// The names that lead to a content.
    pub(super) fn names_of(&self, hash: &Word) -> impl Iterator<Item = (&String, &Name)> {
        self.names
            .iter()
            .filter(move |(_, it)| it.hash[..] == hash[..])
    }
}

/// A handle of the records; a clone is another of the same.
#[derive(Clone, Debug)]
pub(super) struct Records(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// Held while it commits, on purpose: changes are made one after the other. Closed after a failure: it is opened anew for the next
    /// change, so that nothing is read from what may be broken.
    database: AsyncMutex<Option<Database>>,
    known: Mutex<Arc<Known>>,
}

impl Records {
    /// Opens the file, and makes one if there is none. It blocks.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let database = open(path)?;
        let known = read(&database).map_err(|failure| failure.status(path, "read"))?;
        Ok(Self(Arc::new(Inner {
            path: path.to_owned(),
            database: AsyncMutex::new(Some(database)),
            known: Mutex::new(Arc::new(known)),
        })))
    }

    /// What is on disk.
    pub(super) fn known(&self) -> Arc<Known> {
        let known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&known)
    }

    /// Changes what is known, as `edit` says; what it refuses changes nothing.
    ///
    /// # Cancel safety
    /// A change that was begun is made.
    pub(super) async fn change<T: Send + 'static>(
        &self,
        edit: impl FnOnce(&mut Known) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = Arc::clone(&self.0);
        let changing = tokio::spawn(async move {
            let mut database = inner.database.lock().await;
            let before = {
                let known = inner.known.lock().unwrap_or_else(PoisonError::into_inner);
                Arc::clone(&known)
            };
            let mut after = Known::clone(&before);
            let answer = edit(&mut after)?;
            let open_database = database.take();
            let path = inner.path.clone();
            let committing = tokio::task::spawn_blocking(move || {
                let database = match open_database {
                    Some(database) => database,
                    None => open(&path)?,
                };
                write(&database, &before, &after)
                    .map_err(|failure| failure.status(&path, "write"))?;
                Ok::<_, Status>((database, after))
            });
            let (written, after) = committing.await.map_err(|_| stopped())??;
            *database = Some(written);
            let mut known = inner.known.lock().unwrap_or_else(PoisonError::into_inner);
            *known = Arc::new(after);
            Ok(answer)
        });
        changing.await.map_err(|_| stopped())?
    }

    /// Closes the file.
    pub(super) async fn close(&self) {
        self.0.database.lock().await.take();
    }
}

fn stopped() -> Status {
    Status::unavailable("the records of images are closed: the daemon is stopping")
}

fn open(path: &Path) -> Result<Database> {
    kept::open(path, |writing| {
        writing.open_table(NAMES)?;
        writing.open_table(BLOBS)?;
        Ok(())
    })
}

fn read(database: &Database) -> Result<Known, Failure> {
    let mut known = Known::default();
    let reading = database.begin_read()?;
    for entry in reading.open_table(NAMES)?.iter()? {
        let (name, bytes) = entry?;
        let record = decode(bytes.value(), &format!("the image {}", name.value()))
            .map_err(Failure::Message)?;
        known.names.insert(name.value().to_owned(), record);
    }
    for entry in reading.open_table(BLOBS)?.iter()? {
        let (hash, bytes) = entry?;
        let hash = *hash.value();
        let text = super::valid::hex(&hash);
        let blob = decode(bytes.value(), &format!("the image {text}")).map_err(Failure::Message)?;
        known.blobs.insert(hash, blob);
    }
    Ok(known)
}

/// Writes what has changed.
fn write(database: &Database, before: &Known, after: &Known) -> Result<(), Failure> {
    let writing = database.begin_write()?;
    {
        let mut names = writing.open_table(NAMES)?;
        for name in before.names.keys() {
            if !after.names.contains_key(name) {
                names.remove(name.as_str())?;
            }
        }
        for (name, record) in &after.names {
            if before.names.get(name) != Some(record) {
                let bytes = encode(record).map_err(Failure::Message)?;
                names.insert(name.as_str(), bytes.as_ref())?;
            }
        }
        let mut blobs = writing.open_table(BLOBS)?;
        for hash in before.blobs.keys() {
            if !after.blobs.contains_key(hash) {
                blobs.remove(hash)?;
            }
        }
        for (hash, blob) in &after.blobs {
            if before.blobs.get(hash) != Some(blob) {
                let bytes = encode(blob).map_err(Failure::Message)?;
                blobs.insert(hash, bytes.as_ref())?;
            }
        }
    }
    writing.commit()?;
    Ok(())
}

const NAMES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("names");
const BLOBS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("contents");
