//! The engine's state machine on redb: applies batches, builds and takes snapshots. What a command does is the [`Machine`]'s.
//!
//! Commits of applied entries are not forced to the disk one by one: the log has them, and after a crash the engine applies again
//! what the file has not. Every [`FLUSH_EVERY`] entries, and with every snapshot, all is forced.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::{Stream, StreamExt};
use openraft::{
    EntryPayload, RaftSnapshotBuilder, StoredMembership, impls,
    storage::{EntryResponder, RaftStateMachine},
    type_config::alias::{EntryOf, LogIdOf, SnapshotMetaOf, SnapshotOf, StoredMembershipOf},
};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::{
    machine::{Machine, Types},
    snapshot_file::{SnapshotFile, SnapshotWriter, put_in_place},
    state::{STATE, State, View, broken},
};

/// The state machine of one member. Made by [`open`](super::open).
pub struct StateStore<M: Machine> {
    inner: Arc<Inner<M>>,
}

/// Reads the map of a member, beside whatever the engine does to it. What it says may be old: a read that must not be asks the
/// engine first (`Raft::ensure_linearizable`).
pub struct StateReader<M: Machine> {
    inner: Arc<Inner<M>>,
}

impl<M: Machine> StateReader<M> {
    /// The map as it is now.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn view(&self) -> io::Result<View> {
        View::new(&self.inner.database)
    }
}

impl<M: Machine> Clone for StateReader<M> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

/// Builds a snapshot of the state as it was when the engine asked.
#[derive(Debug)]
pub struct SnapshotBuilder<M: Machine> {
    store: StateStore<M>,
}

impl<M: Machine> StateStore<M> {
    pub(super) fn new(database: Database, snapshots: PathBuf, machine: M) -> io::Result<Self> {
        fs::create_dir_all(&snapshots)?;
        // What a crash left half written.
        for entry in fs::read_dir(&snapshots)? {
            let path = entry?.path();
            if path.extension().is_some_and(|it| it == TEMPORARY) {
                fs::remove_file(path)?;
            }
        }
        let inner = Inner {
            database,
            snapshots,
            machine,
            temporaries: AtomicU64::new(0),
            unforced: AtomicU64::new(0),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// A reader of the map.
    pub fn reader(&self) -> StateReader<M> {
        StateReader {
            inner: Arc::clone(&self.inner),
        }
    }

    /// Runs what blocks on the disk where that may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner<M>) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || work(&inner))
            .await
            .map_err(broken)?
    }

    fn share(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<M: Machine> RaftStateMachine<Types<M>> for StateStore<M> {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = SnapshotBuilder<M>;

    async fn applied_state(
        &mut self,
    ) -> io::Result<(Option<LogIdOf<Types<M>>>, StoredMembershipOf<Types<M>>)> {
        self.blocking(|inner| {
            let applied = inner.applied()?;
            Ok((applied.last, applied.members))
        })
        .await
    }

    async fn apply<Strm>(&mut self, entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<Types<M>>>> + Unpin + Send,
    {
        let mut batches = entries.ready_chunks(BATCH);
        while let Some(batch) = batches.next().await {
            let mut entries = Vec::with_capacity(batch.len());
            let mut responders = Vec::with_capacity(batch.len());
            for item in batch {
                let (entry, responder) = item?;
                entries.push(entry);
                responders.push(responder);
            }
            let answers = self.blocking(move |inner| inner.apply(entries)).await?;
            for (responder, answer) in responders.into_iter().zip(answers) {
                if let Some(responder) = responder {
                    responder.send(answer);
                }
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder<M> {
        SnapshotBuilder {
            store: self.share(),
        }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMetaOf<Types<M>>,
        snapshot: SnapshotFile,
    ) -> io::Result<()> {
        let meta = meta.clone();
        self.blocking(move |inner| inner.install(&meta, &snapshot))
            .await
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> io::Result<Option<SnapshotOf<Types<M>, SnapshotFile>>> {
        self.blocking(|inner| {
            let Some(snapshot) = inner.current()? else {
                return Ok(None);
            };
            let meta = snapshot.meta()?;
            Ok(Some(SnapshotOf::<Types<M>, SnapshotFile> {
                meta,
                snapshot,
            }))
        })
        .await
    }
}

impl<M: Machine> RaftSnapshotBuilder<Types<M>> for SnapshotBuilder<M> {
    type SnapshotData = SnapshotFile;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<Types<M>, SnapshotFile>> {
        let (meta, snapshot) = self.store.blocking(Inner::build).await?;
        Ok(SnapshotOf::<Types<M>, SnapshotFile> { meta, snapshot })
    }
}

impl<M: Machine> fmt::Debug for StateStore<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateStore")
            .field("snapshots", &self.inner.snapshots)
            .finish_non_exhaustive()
    }
}

impl<M: Machine> fmt::Debug for StateReader<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StateReader")
    }
}

struct Inner<M> {
    database: Database,
    snapshots: PathBuf,
    machine: M,
    temporaries: AtomicU64,
    /// Entries that were applied since all was forced to the disk.
    unforced: AtomicU64,
}

/// How far the map is, in the same transaction as the map.
#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Applied {
    last: Option<LogId>,
    members: Members,
}

impl<M: Machine> Inner<M> {
    fn applied(&self) -> io::Result<Applied> {
        let transaction = self.database.begin_read().map_err(broken)?;
        match transaction.open_table(META) {
            Ok(table) => read_applied(&table),
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(Applied::default()),
            Err(error) => Err(broken(error)),
        }
    }

    fn apply(&self, entries: Vec<EntryOf<Types<M>>>) -> io::Result<Vec<M::Answer>> {
        let count = entries.len() as u64;
        let mut transaction = self.database.begin_write().map_err(broken)?;
        let force = self.unforced.load(Ordering::Relaxed) + count >= FLUSH_EVERY;
        if !force {
            transaction
                .set_durability(redb::Durability::None)
                .map_err(broken)?;
        }
        let mut answers = Vec::with_capacity(entries.len());
        {
            let mut meta = transaction.open_table(META).map_err(broken)?;
            let mut applied = read_applied(&meta)?;
            let mut state = State(transaction.open_table(STATE).map_err(broken)?);
            for entry in entries {
                let log_id = entry.log_id;
                answers.push(match entry.payload {
                    EntryPayload::Blank => M::Answer::default(),
                    EntryPayload::Normal(command) => self.machine.apply(&mut state, command)?,
                    EntryPayload::Membership(members) => {
                        applied.members = StoredMembership::new(Some(log_id), members);
                        M::Answer::default()
                    }
                });
                applied.last = Some(log_id);
            }
            write_applied(&mut meta, &applied)?;
        }
        transaction.commit().map_err(broken)?;
        if force {
            self.unforced.store(0, Ordering::Relaxed);
        } else {
            self.unforced.fetch_add(count, Ordering::Relaxed);
        }
        Ok(answers)
    }

    fn build(&self) -> io::Result<(Meta, SnapshotFile)> {
        let transaction = self.database.begin_read().map_err(broken)?;
        let applied = match transaction.open_table(META) {
            Ok(table) => read_applied(&table)?,
            Err(redb::TableError::TableDoesNotExist(_)) => Applied::default(),
            Err(error) => return Err(broken(error)),
        };
        let meta = Meta {
            last_log_id: applied.last,
            last_membership: applied.members,
        };
        let mut writer = SnapshotWriter::create(self.temporary(), &meta)?;
        match transaction.open_table(STATE) {
            Ok(table) => {
                for pair in table.iter().map_err(broken)? {
                    let (key, value) = pair.map_err(broken)?;
                    writer.pair(key.value(), value.value())?;
                }
            }
            Err(redb::TableError::TableDoesNotExist(_)) => {}
            Err(error) => return Err(broken(error)),
        }
        let snapshot = writer.finish(&self.place(&meta))?;
        self.remove_all_but(snapshot.path())?;
        Ok((meta, snapshot))
    }

    /// The map is replaced when the file is in its place: if this is cut short before, nothing has happened; if between, the engine
    /// installs it again.
    fn install(&self, meta: &Meta, snapshot: &SnapshotFile) -> io::Result<()> {
        let place = self.place(meta);
        let transaction = self.database.begin_write().map_err(broken)?;
        transaction.delete_table(STATE).map_err(broken)?;
        {
            let mut state = transaction.open_table(STATE).map_err(broken)?;
            snapshot.read(|key, value| {
                state.insert(key, value).map_err(broken)?;
                Ok(())
            })?;
            let mut table = transaction.open_table(META).map_err(broken)?;
            let applied = Applied {
                last: meta.last_log_id,
                members: meta.last_membership.clone(),
            };
            write_applied(&mut table, &applied)?;
        }
        if snapshot.path() != place {
            let temporary = self.temporary();
            snapshot.copy_to(&temporary)?;
            put_in_place(&temporary, &place)?;
        }
        transaction.commit().map_err(broken)?;
        self.unforced.store(0, Ordering::Relaxed);
        self.remove_all_but(&place)
    }

    /// The snapshot that goes furthest.
    fn current(&self) -> io::Result<Option<SnapshotFile>> {
        let mut names: Vec<PathBuf> = self.files()?;
        names.sort();
        names.pop().map(SnapshotFile::open).transpose()
    }

    fn remove_all_but(&self, place: &Path) -> io::Result<()> {
        for path in self.files()? {
            if path < *place {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn files(&self) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.snapshots)? {
            let path = entry?.path();
            if path.extension().is_some_and(|it| it == SNAPSHOT) {
                files.push(path);
            }
        }
        Ok(files)
    }

    /// Named so that the order of names is that of how far they go. Two of the same name have the same state.
    fn place(&self, meta: &Meta) -> PathBuf {
        let (term, index) = meta
            .last_log_id
            .map_or((0, 0), |it| (it.committed_leader_id().term, it.index));
        self.snapshots
            .join(format!("{index:020}-{term:020}.{SNAPSHOT}"))
    }

    fn temporary(&self) -> PathBuf {
        let number = self.temporaries.fetch_add(1, Ordering::Relaxed);
        self.snapshots.join(format!("{number}.{TEMPORARY}"))
    }
}

type Leader = <impls::leader_id_std::LeaderId<u64, u64> as openraft::vote::RaftLeaderId>::Committed;
type LogId = openraft::LogId<Leader>;
type Members = StoredMembership<Leader, u64, impls::BasicNode>;
type Meta = openraft::storage::SnapshotMeta<Leader, u64, impls::BasicNode>;

fn read_applied(table: &impl ReadableTable<&'static str, &'static [u8]>) -> io::Result<Applied> {
    table.get(APPLIED).map_err(broken)?.map_or_else(
        || Ok(Applied::default()),
        |bytes| postcard::from_bytes(bytes.value()).map_err(broken),
    )
}

fn write_applied(
    table: &mut redb::Table<'_, &'static str, &'static [u8]>,
    applied: &Applied,
) -> io::Result<()> {
    let bytes = postcard::to_stdvec(applied).map_err(broken)?;
    table.insert(APPLIED, bytes.as_slice()).map_err(broken)?;
    Ok(())
}

const META: TableDefinition<'static, &'static str, &'static [u8]> = TableDefinition::new("meta");
const APPLIED: &str = "applied";
const SNAPSHOT: &str = "snapshot";
const TEMPORARY: &str = "tmp";
/// Entries that are applied in one transaction, at most.
const BATCH: usize = 512;
/// Entries that are applied before all is forced to the disk.
const FLUSH_EVERY: u64 = 16_384;
