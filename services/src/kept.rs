//! What records of services have in common: messages in a file of redb that only one daemon opens at a time, and what is said when that
//! fails. Which records there are is not known here.

use std::path::Path;

use blixard_rpc::{Code, Message, Result, Status, codec::Codec};
use bytes::{Bytes, BytesMut};
use redb::{Database, WriteTransaction};

use crate::full::is_full;

/// Why records could not be read or written.
pub(crate) enum Failure {
    Redb(redb::Error),
    /// What was, or is to be, on disk is no record.
    Message(Status),
}

impl<E: Into<redb::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Redb(error.into())
    }
}

impl Failure {
    /// As it is said of the file at this path: what could not be done, and what to do about it.
    pub(crate) fn status(self, path: &Path, what: &str) -> Status {
        let error = match self {
            Self::Message(status) => return status,
            Self::Redb(error) => error,
        };
        let path = path.display();
        let (code, hint) = match &error {
            redb::Error::DatabaseAlreadyOpen => {
                return Status::failed_precondition(format!(
                    "{path} is in use: another daemon runs with the same folder; stop it, or use another folder"
                ));
            }
            redb::Error::Io(io) if is_full(io) => (
                Code::ResourceExhausted,
                ": the disk is full; make room, nothing was changed",
            ),
            redb::Error::Corrupted(_) => (Code::DataLoss, ": restore it from a copy"),
            _ => (Code::Unavailable, ""),
        };
        let message = format!("cannot {what} the records in {path}: {error}{hint}");
        Status::new(code, message)
    }
}

/// Opens the file, and makes one if there is none. `tables` opens each table, so that there are some to read.
pub(crate) fn open(
    path: &Path,
    tables: impl FnOnce(&WriteTransaction) -> Result<(), redb::TableError>,
) -> Result<Database> {
    let opened = || {
        let mut builder = Database::builder();
        let database = builder.set_cache_size(CACHE_BYTES).create(path)?;
        let writing = database.begin_write()?;
        tables(&writing)?;
        writing.commit()?;
        Ok(database)
    };
    opened().map_err(|failure: Failure| failure.status(path, "open"))
}

/// As it is on disk, and as other nodes get it.
pub(crate) fn encode(message: &impl Message) -> Result<BytesMut> {
    let mut bytes = BytesMut::new();
    message.encode(Codec::Protobuf, &mut bytes)?;
    Ok(bytes)
}

/// What is on disk, or comes from another node, of `whose`.
pub(crate) fn decode<T: Message>(bytes: &[u8], whose: &str) -> Result<T> {
    T::decode(Codec::Protobuf, Bytes::copy_from_slice(bytes)).map_err(|status| {
        Status::new(
            Code::DataLoss,
            format!("the record of {whose} cannot be read: {}", status.message()),
        )
    })
}

/// All records are kept in memory anyway.
const CACHE_BYTES: usize = 4 << 20;
