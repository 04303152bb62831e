//! [`Store`]: the records on disk. What [`Store::commit`] has answered is there after a crash; a commit is there whole or not at all.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

#[cfg(test)]
use blixard_rpc::Status;
use blixard_rpc::{Message, Result};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::record::{Arrived, Done, Record};
use crate::kept::{self, Failure, decode, encode};

/// The records of a node, in one file that only one daemon opens at a time.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    /// Closed after a failure: it is opened anew for the next commit, so that nothing is read from what may be broken.
    database: Option<Database>,
    /// The next commit is written, and said to have failed: as when the disk has it, and cannot say so.
    #[cfg(test)]
    pub(super) in_doubt: bool,
}

/// What one commit changes.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Machines by name; `None` are gone.
    pub(super) records: BTreeMap<String, Option<Record>>,
    /// Changes by request id; `None` are forgotten.
    pub(super) done: BTreeMap<String, Option<Done>>,
    /// What came from other nodes, by migration; `None` are forgotten.
    pub(super) arrived: BTreeMap<String, Option<Arrived>>,
    /// The version of the last change.
    pub(super) version: u64,
}

/// All that was there.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) records: BTreeMap<String, Record>,
    pub(super) done: BTreeMap<String, Done>,
    pub(super) arrived: BTreeMap<String, Arrived>,
    pub(super) version: u64,
}

impl Store {
    /// Opens the file, and makes one if there is none.
    pub(super) fn open(path: &Path) -> Result<(Self, Loaded)> {
        let store = Self {
            path: path.to_owned(),
            database: Some(open(path)?),
            #[cfg(test)]
            in_doubt: false,
        };
        let loaded = store.load()?;
        Ok((store, loaded))
    }

    fn load(&self) -> Result<Loaded> {
        let Some(database) = &self.database else {
            return Ok(Loaded::default());
        };
        read(database).map_err(|failure| failure.status(&self.path, "read"))
    }

    /// Makes these changes, all or none. It blocks until they are on disk.
    pub(super) fn commit(&mut self, changes: &Changes) -> Result<()> {
        let database = match self.database.take() {
            Some(database) => database,
            None => open(&self.path)?,
        };
        #[cfg(test)]
        if std::mem::take(&mut self.in_doubt) {
            return match write(&database, changes) {
                Ok(()) => Err(Status::unavailable("nobody knows")),
                Err(failure) => Err(failure.status(&self.path, "write")),
            };
        }
        match write(&database, changes) {
            Ok(()) => {
                self.database = Some(database);
                Ok(())
            }
            Err(failure) => Err(failure.status(&self.path, "write")),
        }
    }
}

fn open(path: &Path) -> Result<Database> {
    kept::open(path, |writing| {
        writing.open_table(RECORDS)?;
        writing.open_table(DONE)?;
        writing.open_table(ARRIVED)?;
        writing.open_table(COUNTERS)?;
        Ok(())
    })
}

fn read(database: &Database) -> Result<Loaded, Failure> {
    let mut loaded = Loaded::default();
    let reading = database.begin_read()?;
    for entry in reading.open_table(RECORDS)?.iter()? {
        let (name, bytes) = entry?;
        let record = decode(bytes.value(), name.value()).map_err(Failure::Message)?;
        loaded.records.insert(name.value().to_owned(), record);
    }
    for entry in reading.open_table(DONE)?.iter()? {
        let (id, bytes) = entry?;
        let done = decode(bytes.value(), id.value()).map_err(Failure::Message)?;
        loaded.done.insert(id.value().to_owned(), done);
    }
    for entry in reading.open_table(ARRIVED)?.iter()? {
        let (id, bytes) = entry?;
        let arrived = decode(bytes.value(), id.value()).map_err(Failure::Message)?;
        loaded.arrived.insert(id.value().to_owned(), arrived);
    }
    let counters = reading.open_table(COUNTERS)?;
    loaded.version = counters.get(VERSION)?.map_or(0, |it| it.value());
    Ok(loaded)
}

fn write(database: &Database, changes: &Changes) -> Result<(), Failure> {
    let writing = database.begin_write()?;
    {
        put(writing.open_table(RECORDS)?, &changes.records)?;
        put(writing.open_table(DONE)?, &changes.done)?;
        put(writing.open_table(ARRIVED)?, &changes.arrived)?;
        writing
            .open_table(COUNTERS)?
            .insert(VERSION, changes.version)?;
    }
    writing.commit()?;
    Ok(())
}

fn put<T: Message>(
    mut table: redb::Table<'_, &'static str, &'static [u8]>,
    changes: &BTreeMap<String, Option<T>>,
) -> Result<(), Failure> {
    for (key, value) in changes {
        match value {
            Some(value) => {
                let bytes = encode(value).map_err(Failure::Message)?;
                table.insert(key.as_str(), bytes.as_ref())?;
            }
            None => drop(table.remove(key.as_str())?),
        }
    }
    Ok(())
}

const RECORDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("machines");
const DONE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("requests");
const ARRIVED: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("arrived");
const COUNTERS: TableDefinition<'_, &str, u64> = TableDefinition::new("counters");
const VERSION: &str = "version";
