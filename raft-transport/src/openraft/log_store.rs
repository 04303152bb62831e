//! The engine's log on redb: entries, vote, what is committed and what was purged. What the engine asks for happens in memory at once
//! and on the disk in order, by the one writer.

use std::{
    fmt::{self, Debug},
    io,
    ops::{Bound, Range, RangeBounds},
    sync::{Arc, mpsc},
    thread,
};

use openraft::{
    RaftTypeConfig,
    entry::RaftEntry,
    storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage},
    type_config::alias::{LogIdOf, VoteOf},
};
use redb::{Database, ReadableDatabase, ReadableTable};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::{Semaphore, oneshot};

use super::{
    log_tail::{SharedTail, Tail},
    log_writer::{self, COMMITTED, LOG, META, Op, PURGED, VOTE},
    state::broken,
};

/// The log of one member. Made by [`open`](super::open).
///
/// When the last of the store and its readers is dropped, what was asked for is written and the file is closed.
pub struct LogStore<C: RaftTypeConfig> {
    writer: Arc<Writer<C>>,
    reader: LogReader<C>,
}

/// Reads a log while it is written.
pub struct LogReader<C: RaftTypeConfig> {
    database: Arc<Database>,
    tail: SharedTail<C>,
}

impl<C> LogStore<C>
where
    C: RaftTypeConfig,
{
    pub(super) fn new(database: Database, force: bool) -> io::Result<Self> {
        let database = Arc::new(database);
        let tail = SharedTail::new(read_tail::<C>(&database)?);
        let (ops, asked) = mpsc::channel();
        let thread = log_writer::spawn(Arc::clone(&database), tail.clone(), force, asked)?;
        Ok(Self {
            writer: Arc::new(Writer {
                ops: Some(ops),
                thread: Some(thread),
                room: Arc::new(Semaphore::new(UNWRITTEN_KIB as usize)),
            }),
            reader: LogReader { database, tail },
        })
    }

    fn ask(&self, op: Op<C>) -> io::Result<()> {
        let ops = self.writer.ops.as_ref().ok_or_else(gone)?;
        ops.send(op).map_err(|_| gone())
    }

    async fn ask_and_wait(
        &self,
        op: impl FnOnce(oneshot::Sender<io::Result<()>>) -> Op<C>,
    ) -> io::Result<()> {
        let (done, answer) = oneshot::channel();
        self.ask(op(done))?;
        answer.await.map_err(|_| gone())?
    }
}

impl<C> RaftLogStorage<C> for LogStore<C>
where
    C: RaftTypeConfig,
    C::Entry: Clone,
{
    type LogReader = LogReader<C>;

    async fn get_log_state(&mut self) -> io::Result<LogState<C>> {
        let tail = self.reader.tail.lock();
        Ok(LogState {
            last_purged_log_id: tail.purged.clone(),
            last_log_id: tail.last.clone(),
        })
    }

    async fn get_log_reader(&mut self) -> LogReader<C> {
        self.reader.clone()
    }

    async fn save_vote(&mut self, vote: &VoteOf<C>) -> io::Result<()> {
        let bytes = encode(vote)?;
        // A reader may see it only when it cannot be lost any more.
        self.ask_and_wait(|done| Op::Vote(bytes, done)).await?;
        self.reader.tail.lock().vote = Some(vote.clone());
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogIdOf<C>>) -> io::Result<()> {
        let bytes = committed.as_ref().map(encode).transpose()?;
        self.reader.tail.lock().committed = committed;
        self.ask(Op::Committed(bytes))
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogIdOf<C>>> {
        Ok(self.reader.tail.lock().committed.clone())
    }

    async fn append<I>(&mut self, entries: I, done: IOFlushed<C>) -> io::Result<()>
    where
        I: IntoIterator<Item = C::Entry> + Send,
        I::IntoIter: Send,
    {
        let mut encoded = Vec::new();
        let mut kept = Vec::new();
        let mut bytes = 0;
        for entry in entries {
            let encoding = encode(&entry)?;
            bytes += encoding.len();
            kept.push((entry, encoding.len()));
            encoded.push((kept[kept.len() - 1].0.index(), encoding));
        }
        let kib = u32::try_from(bytes / 1024).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.writer.room)
            .acquire_many_owned(kib.clamp(1, UNWRITTEN_KIB))
            .await
            .map_err(broken)?;
        {
            let mut tail = self.reader.tail.lock();
            for (entry, bytes) in kept {
                tail.append(entry, bytes);
            }
        }
        self.ask(Op::Append {
            entries: encoded,
            done,
            room,
        })
    }

    async fn truncate_after(&mut self, last: Option<LogIdOf<C>>) -> io::Result<()> {
        let from = last.as_ref().map_or(0, |it| it.index + 1);
        self.reader.tail.lock().truncate_after(last);
        self.ask_and_wait(|done| Op::Truncate(from, done)).await
    }

    async fn purge(&mut self, upto: LogIdOf<C>) -> io::Result<()> {
        let (index, bytes) = (upto.index, encode(&upto)?);
        self.reader.tail.lock().purge(upto);
        self.ask_and_wait(|done| Op::Purge(index, bytes, done))
            .await
    }
}

impl<C> RaftLogReader<C> for LogReader<C>
where
    C: RaftTypeConfig,
    C::Entry: Clone,
{
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<C::Entry>> {
        self.read(indexes(&range), usize::MAX).await
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<C::Entry>> {
        self.read(start..end, READ_BYTES).await
    }

    async fn read_vote(&mut self) -> io::Result<Option<VoteOf<C>>> {
        Ok(self.tail.lock().vote.clone())
    }
}

impl<C> LogReader<C>
where
    C: RaftTypeConfig,
    C::Entry: Clone,
{
    /// The entries of a range that there are, and no more than the limit; but one.
    async fn read(&self, range: Range<u64>, limit_bytes: usize) -> io::Result<Vec<C::Entry>> {
        let part = self.tail.lock().read(range, limit_bytes);
        if part.on_disk.is_empty() {
            return Ok(part.entries);
        }
        let database = Arc::clone(&self.database);
        let on_disk = part.on_disk;
        let (mut entries, cut) =
            tokio::task::spawn_blocking(move || read_disk::<C>(&database, on_disk, limit_bytes))
                .await
                .map_err(broken)??;
        // What was cut short by the limit, or truncated in the meantime, would leave a hole before what follows.
        let follows = part.entries.first().is_some_and(|next| {
            entries
                .last()
                .is_none_or(|last: &C::Entry| last.index() + 1 == next.index())
        });
        if follows && !cut {
            entries.extend(part.entries);
        }
        Ok(entries)
    }
}

impl<C: RaftTypeConfig> Clone for LogReader<C> {
    fn clone(&self) -> Self {
        Self {
            database: Arc::clone(&self.database),
            tail: self.tail.clone(),
        }
    }
}

impl<C: RaftTypeConfig> Debug for LogStore<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tail = self.reader.tail.lock();
        f.debug_struct("LogStore")
            .field("purged", &tail.purged)
            .field("last", &tail.last)
            .finish_non_exhaustive()
    }
}

impl<C: RaftTypeConfig> Debug for LogReader<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogReader")
    }
}

/// The writing half. Its end is the end of the thread.
struct Writer<C: RaftTypeConfig> {
    ops: Option<mpsc::Sender<Op<C>>>,
    thread: Option<thread::JoinHandle<()>>,
    /// In KiB: what may wait for the disk.
    room: Arc<Semaphore>,
}

impl<C: RaftTypeConfig> Drop for Writer<C> {
    fn drop(&mut self) {
        drop(self.ops.take());
        if let Some(thread) = self.thread.take() {
            // It panics only where redb does; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

fn read_tail<C: RaftTypeConfig>(database: &Database) -> io::Result<Tail<C>> {
    let transaction = database.begin_read().map_err(broken)?;
    let (mut vote, mut committed, mut purged) = (None, None, None);
    match transaction.open_table(META) {
        Ok(meta) => {
            vote = read_meta(&meta, VOTE)?;
            committed = read_meta(&meta, COMMITTED)?;
            purged = read_meta(&meta, PURGED)?;
        }
        Err(redb::TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(broken(error)),
    }
    let mut last = purged.clone();
    match transaction.open_table(LOG) {
        Ok(log) => {
            if let Some((_, bytes)) = log.last().map_err(broken)? {
                last = Some(decode::<C::Entry>(bytes.value())?.log_id());
            }
        }
        Err(redb::TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(broken(error)),
    }
    Ok(Tail::new(vote, committed, purged, last))
}

fn read_meta<T: DeserializeOwned>(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
    key: &str,
) -> io::Result<Option<T>> {
    meta.get(key)
        .map_err(broken)?
        .map(|bytes| decode(bytes.value()))
        .transpose()
}

/// The entries of a range that the disk has, and whether the limit cut them short.
fn read_disk<C: RaftTypeConfig>(
    database: &Database,
    range: Range<u64>,
    limit_bytes: usize,
) -> io::Result<(Vec<C::Entry>, bool)> {
    let transaction = database.begin_read().map_err(broken)?;
    let log = match transaction.open_table(LOG) {
        Ok(log) => log,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok((Vec::new(), false)),
        Err(error) => return Err(broken(error)),
    };
    let mut entries = Vec::new();
    let mut left = limit_bytes;
    for item in log.range(range).map_err(broken)? {
        let (_, bytes) = item.map_err(broken)?;
        let bytes = bytes.value();
        if !entries.is_empty() && bytes.len() > left {
            return Ok((entries, true));
        }
        left = left.saturating_sub(bytes.len());
        entries.push(decode(bytes)?);
    }
    Ok((entries, false))
}

fn indexes(range: &impl RangeBounds<u64>) -> Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(end) => end.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    start..end.max(start)
}

fn encode(value: &impl Serialize) -> io::Result<Vec<u8>> {
    postcard::to_stdvec(value).map_err(broken)
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    postcard::from_bytes(bytes).map_err(broken)
}

fn gone() -> io::Error {
    io::Error::other("the log's writer has ended")
}

/// What one message to another member holds, at most; but one entry.
const READ_BYTES: usize = 1024 * 1024;
/// What may wait for the disk before appending does.
const UNWRITTEN_KIB: u32 = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::{
        fmt,
        sync::{
            Mutex,
            atomic::{AtomicU64, Ordering},
        },
    };

    use openraft::{EntryPayload, Vote, impls, storage::RaftLogStorageExt, vote::RaftLeaderIdExt};
    use redb::StorageBackend;

    use super::*;
    use crate::openraft::{Machine, State, Types};

    struct Nothing;

    impl Machine for Nothing {
        type Command = String;
        type Answer = ();

        fn apply(&self, _: &mut State<'_>, _: String) -> io::Result<()> {
            Ok(())
        }
    }

    type C = Types<Nothing>;
    type LeaderId = impls::leader_id_std::LeaderId<u64, u64>;

    fn log_id(term: u64, index: u64) -> LogIdOf<C> {
        openraft::LogId::new(LeaderId::new_committed(term, 1), index)
    }

    fn entry(term: u64, index: u64, text: &str) -> <C as RaftTypeConfig>::Entry {
        impls::Entry::new(log_id(term, index), EntryPayload::Normal(text.to_owned()))
    }

    /// A disk that keeps, when the power fails, only what was forced to it.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<Plates>>);

    #[derive(Default)]
    struct Plates {
        now: Vec<u8>,
        forced: Vec<u8>,
        forces: u64,
    }

    impl Disk {
        /// What is there after the power failed.
        fn after_power_loss(&self) -> Self {
            let plates = self.0.lock().unwrap();
            Self(Arc::new(Mutex::new(Plates {
                now: plates.forced.clone(),
                forced: plates.forced.clone(),
                forces: 0,
            })))
        }

        fn store(&self) -> LogStore<C> {
            let database = Database::builder()
                .create_with_backend(self.clone())
                .unwrap();
            LogStore::new(database, true).unwrap()
        }
    }

    impl Debug for Disk {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Disk")
        }
    }

    impl StorageBackend for Disk {
        fn len(&self) -> io::Result<u64> {
            Ok(self.0.lock().unwrap().now.len() as u64)
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            let plates = self.0.lock().unwrap();
            out.copy_from_slice(&plates.now[offset as usize..offset as usize + out.len()]);
            Ok(())
        }

        fn set_len(&self, length: u64) -> io::Result<()> {
            self.0.lock().unwrap().now.resize(length as usize, 0);
            Ok(())
        }

        fn sync_data(&self) -> io::Result<()> {
            let mut plates = self.0.lock().unwrap();
            plates.forced = plates.now.clone();
            plates.forces += 1;
            Ok(())
        }

        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            let mut plates = self.0.lock().unwrap();
            plates.now[offset as usize..offset as usize + data.len()].copy_from_slice(data);
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_was_acknowledged_survives_a_loss_of_power() {
        let mut disk = Disk::default();
        let mut next = 0;
        let mut lost_something = false;
        for term in 1..=8 {
            let mut store = disk.store();
            let state = store.get_log_state().await.unwrap();
            assert!(
                state.last_log_id.map_or(0, |it| it.index + 1) >= next,
                "what was acknowledged is there"
            );
            // What was written and not acknowledged goes, as if a new leader had other entries.
            let keep = next
                .checked_sub(1)
                .map(|index| state.last_log_id.filter(|it| it.index <= index));
            if keep.is_none_or(|it| it.is_none()) && state.last_log_id.is_some() {
                let index = next - 1;
                let last = store
                    .reader
                    .clone()
                    .read(index..index + 1, usize::MAX)
                    .await
                    .unwrap();
                store.truncate_after(Some(last[0].log_id())).await.unwrap();
            }
            store.save_vote(&Vote::new(term, 1)).await.unwrap();
            for _ in 0..20 {
                let batch = 1 + next % 7;
                let entries = (next..next + batch)
                    .map(|index| entry(term, index, &format!("{term}/{index}")));
                store
                    .blocking_append(entries.collect::<Vec<_>>())
                    .await
                    .unwrap();
                next += batch;
            }
            // These nobody waits for: some may be on the disk, some not.
            let acknowledged = Arc::new(AtomicU64::new(0));
            for _ in 0..20 {
                let at = store
                    .get_log_state()
                    .await
                    .unwrap()
                    .last_log_id
                    .unwrap()
                    .index
                    + 1;
                store
                    .append([entry(term, at, "hurried")], IOFlushed::noop())
                    .await
                    .unwrap();
            }
            acknowledged.store(next, Ordering::Relaxed);
            let after = disk.after_power_loss();
            let end = store
                .get_log_state()
                .await
                .unwrap()
                .last_log_id
                .unwrap()
                .index
                + 1;
            drop(store);

            let mut again = after.store();
            let there = again
                .get_log_state()
                .await
                .unwrap()
                .last_log_id
                .unwrap()
                .index
                + 1;
            assert!(
                there >= next && there <= end,
                "term {term}: {next} <= {there} <= {end}"
            );
            lost_something |= there < end;
            assert_eq!(
                again.reader.read_vote().await.unwrap(),
                Some(Vote::new(term, 1))
            );
            let entries = again.reader.read(0..there, usize::MAX).await.unwrap();
            assert_eq!(entries.len() as u64, there, "no holes");
            for (index, entry) in entries.iter().enumerate() {
                assert_eq!(entry.log_id.index, index as u64);
            }
            drop(again);
            disk = after;
        }
        assert!(
            lost_something,
            "the power never failed while something was being written"
        );
    }

    #[tokio::test]
    async fn many_appends_are_one_trip_to_the_disk() {
        let disk = Disk::default();
        let mut store = disk.store();
        store.blocking_append([entry(1, 0, "first")]).await.unwrap();
        let before = disk.0.lock().unwrap().forces;
        // The disk is busy for as long as this is held, so that they queue up.
        let mut answers = Vec::new();
        {
            let held = disk.0.lock().unwrap();
            for index in 1..=1000 {
                let (tx, rx) = <C as openraft::type_config::TypeConfigExt>::oneshot();
                futures_util::FutureExt::now_or_never(tokio::task::unconstrained(
                    store.append([entry(1, index, "more")], IOFlushed::signal(tx)),
                ))
                .expect("appending does not wait for the disk")
                .unwrap();
                answers.push(rx);
            }
            drop(held);
        }
        for answer in answers {
            answer.await.unwrap().unwrap();
        }
        let trips = disk.0.lock().unwrap().forces - before;
        assert!((1..=20).contains(&trips), "{trips} trips for 1000 appends");
    }

    #[tokio::test]
    async fn committed_is_never_ahead_of_the_entries() {
        let disk = Disk::default();
        let mut store = disk.store();
        for index in 0..200 {
            store
                .append([entry(1, index, "x")], IOFlushed::noop())
                .await
                .unwrap();
            store.save_committed(Some(log_id(1, index))).await.unwrap();
            let mut after = disk.after_power_loss().store();
            let last = after.get_log_state().await.unwrap().last_log_id;
            let committed = after.read_committed().await.unwrap();
            assert!(committed <= last, "{committed:?} {last:?}");
        }
        drop(store);
        assert_eq!(
            disk.store().read_committed().await.unwrap(),
            Some(log_id(1, 199)),
            "the last goes with the end"
        );
    }

    #[tokio::test]
    async fn a_disk_that_fails_is_said_to_all_who_wait_and_nothing_is_written_after() {
        #[derive(Debug)]
        struct Failing(Disk, Arc<AtomicU64>);

        impl StorageBackend for Failing {
            fn len(&self) -> io::Result<u64> {
                self.0.len()
            }
            fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
                self.0.read(offset, out)
            }
            fn set_len(&self, length: u64) -> io::Result<()> {
                self.0.set_len(length)
            }
            fn sync_data(&self) -> io::Result<()> {
                if self.1.load(Ordering::Relaxed) == 1 {
                    return Err(io::Error::other("no space left"));
                }
                self.0.sync_data()
            }
            fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
                self.0.write(offset, data)
            }
        }

        let fails = Arc::new(AtomicU64::new(0));
        let database = Database::builder()
            .create_with_backend(Failing(Disk::default(), Arc::clone(&fails)))
            .unwrap();
        let mut store = LogStore::<C>::new(database, true).unwrap();
        store.blocking_append([entry(1, 0, "well")]).await.unwrap();
        fails.store(1, Ordering::Relaxed);
        let error = store
            .blocking_append([entry(1, 1, "not")])
            .await
            .unwrap_err();
        assert!(error.to_string().contains("no space left"), "{error}");
        // The disk is well again; but what it has nobody knows.
        fails.store(0, Ordering::Relaxed);
        store.save_vote(&Vote::new(9, 1)).await.unwrap_err();
        assert_eq!(store.reader.read_vote().await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_read_is_bounded_and_has_no_holes() {
        let disk = Disk::default();
        let mut store = disk.store();
        let large = "x".repeat(300_000);
        for index in 0..40 {
            store
                .blocking_append([entry(1, index, &large)])
                .await
                .unwrap();
        }
        let check = |store: &LogStore<C>| {
            let mut reader = store.reader.clone();
            async move {
                for start in 0..39 {
                    let entries = reader.limited_get_log_entries(start, 40).await.unwrap();
                    let expected = (start..40).take(3).collect::<Vec<_>>();
                    let found = entries.iter().map(|it| it.log_id.index).collect::<Vec<_>>();
                    assert_eq!(found, expected, "three of 300 kB are within 1 MiB");
                }
                // Larger than the limit, and nevertheless it has to go.
                assert_eq!(reader.read(5..9, 10).await.unwrap().len(), 1);
            }
        };
        check(&store).await;
        drop(store);
        // From the disk; then a tail in memory after what only the disk has.
        let mut store = disk.store();
        check(&store).await;
        store
            .blocking_append([entry(2, 40, "small")])
            .await
            .unwrap();
        let entries = store.reader.read(38..41, usize::MAX).await.unwrap();
        assert_eq!(
            entries.iter().map(|it| it.log_id.index).collect::<Vec<_>>(),
            [38, 39, 40]
        );
        let entries = store.reader.read(30..41, 1_000_000).await.unwrap();
        assert_eq!(
            entries.iter().map(|it| it.log_id.index).collect::<Vec<_>>(),
            [30, 31, 32],
            "no hole after a cut"
        );
    }
}
