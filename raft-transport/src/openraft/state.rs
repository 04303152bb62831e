//! The replicated map of bytes: [`State`] while a command is applied, [`View`] for readers. Both are tables of redb; what of the
//! engine lies beside them is in `state_store`.

use std::{fmt, io, ops::Bound};

use redb::{Database, ReadOnlyTable, ReadableDatabase, ReadableTable, Table, TableDefinition};

/// The map.
pub(super) const STATE: TableDefinition<'static, &'static [u8], &'static [u8]> =
    TableDefinition::new("state");

/// The map as one command sees and changes it. Changes are seen by readers when the batch of commands is done, all at once.
pub struct State<'a>(pub(super) Table<'a, &'static [u8], &'static [u8]>);

impl State<'_> {
    /// The value of a key.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        Ok(self
            .0
            .get(key)
            .map_err(broken)?
            .map(|value| value.value().to_vec()))
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.0.insert(key, value).map_err(broken)?;
        Ok(())
    }

    /// Removes a key, and says whether it was there.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn remove(&mut self, key: &[u8]) -> io::Result<bool> {
        Ok(self.0.remove(key).map_err(broken)?.is_some())
    }

    /// The first `limit` pairs from `from` on, in the order of keys.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn scan(&self, from: &[u8], limit: usize) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        scan(&self.0, Bound::Included(from), limit)
    }
}

impl fmt::Debug for State<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("State")
    }
}

/// The map as it was at one moment, however long it is looked at.
pub struct View(Option<ReadOnlyTable<&'static [u8], &'static [u8]>>);

impl View {
    pub(super) fn new(database: &Database) -> io::Result<Self> {
        match database.begin_read().map_err(broken)?.open_table(STATE) {
            Ok(table) => Ok(Self(Some(table))),
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(Self(None)),
            Err(error) => Err(broken(error)),
        }
    }

    /// The value of a key.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let Some(table) = &self.0 else {
            return Ok(None);
        };
        Ok(table
            .get(key)
            .map_err(broken)?
            .map(|value| value.value().to_vec()))
    }

    /// The first `limit` pairs from `from` on, in the order of keys.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn scan(&self, from: Bound<&[u8]>, limit: usize) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.0
            .as_ref()
            .map_or_else(|| Ok(Vec::new()), |table| scan(table, from, limit))
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("View")
    }
}

fn scan(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    from: Bound<&[u8]>,
    limit: usize,
) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    table
        .range::<&[u8]>((from, Bound::Unbounded))
        .map_err(broken)?
        .take(limit)
        .map(|pair| {
            let (key, value) = pair.map_err(broken)?;
            Ok((key.value().to_vec(), value.value().to_vec()))
        })
        .collect()
}

/// An error of redb, or of what it holds, as the engine wants it.
pub(super) fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::other(error)
}
