//! The one thread that writes a log: it takes all that was asked for in the meantime, writes it in one transaction, forces that to the
//! disk once, and then says that it is there. So a disk that takes ten milliseconds makes bigger batches and not longer queues.

use std::{
    io,
    sync::{Arc, mpsc},
    thread,
};

use openraft::{RaftTypeConfig, storage::IOFlushed};
use redb::{Database, ReadableTable, TableDefinition, WriteTransaction};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{log_tail::SharedTail, state::broken};

/// What is asked of the writer, in the order in which it is to happen.
pub(super) enum Op<C: RaftTypeConfig> {
    Append {
        entries: Vec<(u64, Vec<u8>)>,
        done: IOFlushed<C>,
        /// Its share of what may wait for the disk.
        room: OwnedSemaphorePermit,
    },
    Vote(Vec<u8>, oneshot::Sender<io::Result<()>>),
    /// Written with what comes next; it is not worth a trip to the disk.
    Committed(Option<Vec<u8>>),
    /// Removes this index and all after it.
    Truncate(u64, oneshot::Sender<io::Result<()>>),
    /// Removes this index and all before it.
    Purge(u64, Vec<u8>, oneshot::Sender<io::Result<()>>),
}

/// The entries.
pub(super) const LOG: TableDefinition<'static, u64, &'static [u8]> = TableDefinition::new("log");
/// What else there is of a log: the vote, what is committed, what was purged.
pub(super) const META: TableDefinition<'static, &'static str, &'static [u8]> =
    TableDefinition::new("meta");
pub(super) const VOTE: &str = "vote";
pub(super) const COMMITTED: &str = "committed";
pub(super) const PURGED: &str = "purged";

pub(super) fn spawn<C: RaftTypeConfig>(
    database: Arc<Database>,
    tail: SharedTail<C>,
    force: bool,
    ops: mpsc::Receiver<Op<C>>,
) -> io::Result<thread::JoinHandle<()>> {
    let writer = Writer {
        database,
        tail,
        force,
        committed: None,
    };
    thread::Builder::new()
        .name("raft-log".to_owned())
        .spawn(move || writer.run(&ops))
}

struct Writer<C: RaftTypeConfig> {
    database: Arc<Database>,
    tail: SharedTail<C>,
    force: bool,
    committed: Option<Option<Vec<u8>>>,
}

/// Told when the transaction is on the disk.
enum Waiter<C: RaftTypeConfig> {
    Append(IOFlushed<C>, OwnedSemaphorePermit),
    Other(oneshot::Sender<io::Result<()>>),
}

impl<C: RaftTypeConfig> Writer<C> {
    fn run(mut self, ops: &mpsc::Receiver<Op<C>>) {
        // After a write that failed nobody knows what is on the disk: nothing is written any more.
        let mut broken: Option<String> = None;
        while let Ok(first) = ops.recv() {
            let mut batch = vec![first];
            let mut bytes = batch[0].len_bytes();
            while bytes < BATCH_BYTES && batch.len() < BATCH_OPS {
                let Ok(op) = ops.try_recv() else { break };
                bytes += op.len_bytes();
                batch.push(op);
            }
            let mut waiters = Vec::with_capacity(batch.len());
            let written = match &broken {
                Some(reason) => {
                    waiters.extend(batch.into_iter().filter_map(Op::into_waiter));
                    Err(reason.clone())
                }
                None => self
                    .write(batch, &mut waiters)
                    .map_err(|error| format!("the log cannot be written: {error}")),
            };
            match &written {
                Ok(Some(flushed)) => self.tail.lock().flushed(*flushed),
                Ok(None) => {}
                Err(reason) => {
                    if broken.is_none() {
                        tracing::error!("{reason}");
                    }
                    broken = Some(reason.clone());
                }
            }
            for waiter in waiters {
                let result = written
                    .as_ref()
                    .map(|_| ())
                    .map_err(|reason| io::Error::other(reason.clone()));
                match waiter {
                    Waiter::Append(done, room) => {
                        done.io_completed(result);
                        drop(room);
                    }
                    Waiter::Other(done) => {
                        let _ = done.send(result);
                    }
                }
            }
        }
        // What went with nothing goes with the end.
        if broken.is_none()
            && self.committed.is_some()
            && let Err(error) = self.commit(Vec::new())
        {
            tracing::warn!("what is committed was not written when the log was closed: {error}");
        }
    }

    /// Writes a batch, and says which entry is the last that was appended.
    fn write(
        &mut self,
        batch: Vec<Op<C>>,
        waiters: &mut Vec<Waiter<C>>,
    ) -> io::Result<Option<u64>> {
        if batch.iter().all(|op| matches!(op, Op::Committed(_))) {
            for op in batch {
                if let Op::Committed(bytes) = op {
                    self.committed = Some(bytes);
                }
            }
            return Ok(None);
        }
        // Whoever waits is told of a failure too.
        let mut steps = Vec::with_capacity(batch.len());
        for op in batch {
            let (step, waiter) = op.split();
            steps.push(step);
            waiters.extend(waiter);
        }
        self.commit(steps)
    }

    fn commit(&mut self, steps: Vec<Step>) -> io::Result<Option<u64>> {
        let mut transaction = self.database.begin_write().map_err(broken)?;
        if !self.force {
            transaction
                .set_durability(redb::Durability::None)
                .map_err(broken)?;
        }
        let flushed = self.steps(&transaction, steps)?;
        transaction.commit().map_err(broken)?;
        Ok(flushed)
    }

    fn steps(
        &mut self,
        transaction: &WriteTransaction,
        steps: Vec<Step>,
    ) -> io::Result<Option<u64>> {
        let mut log = transaction.open_table(LOG).map_err(broken)?;
        let mut meta = transaction.open_table(META).map_err(broken)?;
        let mut flushed = None;
        for step in steps {
            match step {
                Step::Append(entries) => {
                    for (index, bytes) in entries {
                        log.insert(index, bytes.as_slice()).map_err(broken)?;
                        flushed = Some(index);
                    }
                }
                Step::Vote(bytes) => {
                    meta.insert(VOTE, bytes.as_slice()).map_err(broken)?;
                }
                Step::Committed(bytes) => self.committed = Some(bytes),
                Step::Truncate(from) => {
                    // From the end, so that no hole can be seen; and one transaction besides.
                    log.retain_in(from.., |_, _| false).map_err(broken)?;
                    flushed = flushed.filter(|index| *index < from);
                }
                Step::Purge(upto, bytes) => {
                    let first = log.first().map_err(broken)?.map(|(index, _)| index.value());
                    if let Some(first) = first.filter(|first| *first <= upto) {
                        log.retain_in(first..=upto, |_, _| false).map_err(broken)?;
                    }
                    meta.insert(PURGED, bytes.as_slice()).map_err(broken)?;
                }
            }
        }
        // Never ahead of the entries that were appended before it was said.
        match self.committed.take() {
            Some(Some(bytes)) => {
                meta.insert(COMMITTED, bytes.as_slice()).map_err(broken)?;
            }
            Some(None) => {
                meta.remove(COMMITTED).map_err(broken)?;
            }
            None => {}
        }
        Ok(flushed)
    }
}

enum Step {
    Append(Vec<(u64, Vec<u8>)>),
    Vote(Vec<u8>),
    Committed(Option<Vec<u8>>),
    Truncate(u64),
    Purge(u64, Vec<u8>),
}

impl<C: RaftTypeConfig> Op<C> {
    fn split(self) -> (Step, Option<Waiter<C>>) {
        match self {
            Self::Append {
                entries,
                done,
                room,
            } => (Step::Append(entries), Some(Waiter::Append(done, room))),
            Self::Vote(bytes, done) => (Step::Vote(bytes), Some(Waiter::Other(done))),
            Self::Committed(bytes) => (Step::Committed(bytes), None),
            Self::Truncate(from, done) => (Step::Truncate(from), Some(Waiter::Other(done))),
            Self::Purge(upto, bytes, done) => (Step::Purge(upto, bytes), Some(Waiter::Other(done))),
        }
    }

    fn into_waiter(self) -> Option<Waiter<C>> {
        self.split().1
    }

    fn len_bytes(&self) -> usize {
        match self {
            Self::Append { entries, .. } => entries.iter().map(|(_, bytes)| bytes.len()).sum(),
            _ => 0,
        }
    }
}

/// What one transaction takes, at most.
const BATCH_BYTES: usize = 16 * 1024 * 1024;
const BATCH_OPS: usize = 4096;
