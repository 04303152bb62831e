//! [`Shelf`]: the images that are here, on disk: their records, their contents, and what goes to make room.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt, fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use blixard_rpc::{Result, Status};
use iroh_blobs::{
    Hash,
    store::{
        GcConfig, ProtectCb, ProtectOutcome,
        fs::{
            FsStore,
            options::{InlineOptions, Options, PathOptions},
        },
    },
};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, mpsc, oneshot};

use super::{
    cache::{Cached, Room, evict},
    config::ImageConfig,
    gate::Gate,
    messages::{Image, ImageState},
    stamp::Stamp,
    store::{Blob, Here, Name, Records},
    valid::{Word, hex},
};
use crate::disk;

/// How long an image stays that somebody has asked for, so that they can say that they use it.
pub const STAYS_FOR: Duration = Duration::from_secs(60);

/// The images that are here. A clone is another handle of the same.
#[derive(Clone)]
pub(super) struct Shelf(Arc<Inner>);

struct Inner {
    config: ImageConfig,
    records: Records,
    store: FsStore,
    paths: PathOptions,
    gate: Gate,
    state: Arc<Mutex<State>>,
    /// Held, on purpose, while contents are removed, and by who decides that one is here or comes: so nothing is taken for here that is
    /// just being removed.
    removing: Arc<AsyncMutex<()>>,
    collect: mpsc::Sender<oneshot::Sender<()>>,
    closed: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    /// What is under way, by how many.
    held: BTreeMap<Word, usize>,
    /// What goes, whatever the records say.
    condemned: BTreeSet<Word>,
    /// What was asked for lately.
    asked: BTreeMap<Word, Instant>,
    /// How many files are read to be shared.
    reading: usize,
}

impl Shelf {
    /// Opens what is in the folders of this configuration, and removes what nobody knows of.
    pub(super) async fn open(mut config: ImageConfig, gate: Gate) -> Result<Self> {
        for folder in [&mut config.folder, &mut config.images] {
            make_folder(folder).map_err(|error| {
                Status::failed_precondition(format!(
                    "the folder {} cannot be made: {error}",
                    folder.display()
                ))
            })?;
        }
        let path = config.folder.join(RECORDS);
        let records = tokio::task::spawn_blocking(move || Records::open(&path)).await;
        let records = records.map_err(|_| Status::unavailable("the daemon is stopping"))??;
        let root = config.folder.join(CONTENTS);
        let paths = PathOptions::new(&root);
        clear(&paths.temp_path);
        let state = Arc::new(Mutex::new(State::default()));
        let closed = Arc::new(AtomicBool::new(false));
        let (collect, collected) = mpsc::channel(1);
        let mut options = Options::new(&root);
        // Whatever has content has a file, which machines can use.
        options.inline = InlineOptions {
            max_data_inlined: 0,
            ..InlineOptions::default()
        };
        options.gc = Some(collector(
            collected,
            records.clone(),
            Arc::clone(&state),
            Arc::clone(&closed),
        ));
        let store = FsStore::load_with_opts(root.join("blobs.db"), options);
        let store = store.await.map_err(|error| {
            Status::unavailable(format!(
                "the contents of images in {} cannot be opened: {error:#}",
                root.display()
            ))
        })?;
        let shelf = Self(Arc::new(Inner {
            config,
            records,
            store,
            paths,
            gate,
            state,
            removing: Arc::default(),
            collect,
            closed,
        }));
        shelf.mend().await?;
        let still = shelf.still().await;
        shelf.collect(&still).await?;
        drop(still);
        Ok(shelf)
    }

    pub(super) fn config(&self) -> &ImageConfig {
        &self.0.config
    }

    pub(super) fn records(&self) -> &Records {
        &self.0.records
    }

    pub(super) fn store(&self) -> &FsStore {
        &self.0.store
    }

    /// Nothing is removed for as long as this is held.
    pub(super) async fn still(&self) -> Still {
        let removing = Arc::clone(&self.0.removing);
        Still(Arc::new(removing.lock_owned().await))
    }

    /// This stays, whatever becomes of its records.
    pub(super) fn hold(&self, hash: Word) -> Held {
        *self.state().held.entry(hash).or_default() += 1;
        Held {
            state: Arc::clone(&self.0.state),
            hash,
        }
    }

    /// Whether this is under way.
    fn is_held(&self, hash: &Word) -> bool {
        self.state().held.contains_key(hash) || self.0.gate.gives(hash)
    }

    /// Who uses what, as far as that is known.
    pub(super) fn used(&self) -> BTreeMap<String, Vec<String>> {
        let mut used: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (hash, by) in (self.0.config.users)().into_iter().flatten() {
            used.entry(hash).or_default().push(by);
        }
        used
    }

    /// A file is read to be shared, for as long as this is there.
    pub(super) fn reading(&self) -> Reading {
        self.state().reading += 1;
        Reading(self.clone())
    }

    /// Whether nobody needs a content any more.
    ///
    /// # Errors
    /// `FAILED_PRECONDITION`, and who does.
    pub(super) fn check_unused(&self, name: &str, hash: &Word) -> Result<()> {
        if (self.0.config.users)().is_none() {
            return Err(Status::failed_precondition(
                "it is not known yet who uses images: try again when the node is up",
            ));
        }
        if let Some(users) = self.used().get(&hex(hash)) {
            return Err(Status::failed_precondition(format!(
                "the image {name} is used by {}: it goes when they are gone",
                users.join(", ")
            )));
        }
        let asked = self.state().asked.get(hash).copied();
        if self.is_held(hash) || asked.is_some_and(|at| at.elapsed() < STAYS_FOR) {
            return Err(Status::failed_precondition(format!(
                "the image {name} is under way, or about to be used: try again in a minute"
            )));
        }
        Ok(())
    }

    /// Where the content lies, if all of it is here and what it was. It looks at files.
    pub(super) fn file(&self, hash: &Word) -> Result<PathBuf> {
        let known = self.0.records.known();
        let text = hex(hash);
        let blob = known.blobs.get(hash).ok_or_else(|| {
            Status::not_found(format!("there is no image {text}: get it, or share it"))
        })?;
        match self.state_of(blob) {
            ImageState::Ready => {}
            ImageState::Changed => {
                return Err(Status::failed_precondition(format!(
                    "the file of the image {text} is not what was shared: share it again"
                )));
            }
            _ => {
                return Err(Status::failed_precondition(format!(
                    "the image {text} is not here as a whole: get it first"
                )));
            }
        }
        match &blob.file {
            Some(shared) => disk::find(&self.0.config.images, &shared.file),
            None => Ok(self.data(hash)),
        }
    }

    /// As [`file`](Self::file), for somebody who is about to use it: it stays for a while.
    pub(super) async fn ask(&self, hash: Word) -> Result<PathBuf> {
        let still = self.still().await;
        let shelf = self.clone();
        let file = blocking(move || shelf.file(&hash)).await??;
        let mut state = self.state();
        state.asked.retain(|_, at| at.elapsed() < STAYS_FOR);
        state.asked.insert(hash, Instant::now());
        drop(state);
        drop(still);
        Ok(file)
    }

    /// Whether a content is here. It looks at files.
    pub(super) fn state_of(&self, blob: &Blob) -> ImageState {
        match (blob.here, &blob.file) {
            (Here::All, Some(shared)) => {
                let found = disk::find(&self.0.config.images, &shared.file);
                let is_same = found
                    .is_ok_and(|path| Stamp::of(&path).is_ok_and(|stamp| stamp == shared.stamp));
                if is_same {
                    ImageState::Ready
                } else {
                    ImageState::Changed
                }
            }
            (Here::All, None) => ImageState::Ready,
            (Here::Some, _) => ImageState::Partial,
            _ => ImageState::Evicted,
        }
    }

    /// What others see of an image. It looks at files.
    pub(super) fn view(
        &self,
        name: &str,
        record: &Name,
        blob: Option<&Blob>,
        used: &BTreeMap<String, Vec<String>>,
    ) -> Image {
        let hash = record.hash();
        let state = blob.map_or(ImageState::Evicted, |blob| self.state_of(blob));
        let size_bytes = blob.map_or(0, |blob| blob.size_bytes);
        Image {
            name: name.to_owned(),
            hash: hex(&hash),
            size_bytes,
            format: record.format,
            state,
            here_bytes: match state {
                ImageState::Ready => size_bytes,
                ImageState::Partial => self.on_disk(&hash).min(size_bytes),
                _ => 0,
            },
            file: blob
                .and_then(|blob| blob.file.as_ref())
                .map_or_else(String::new, |shared| shared.file.clone()),
            readers: record.readers.clone(),
            used_by: used.get(&hex(&hash)).cloned().unwrap_or_default(),
            created_at: Some(record.created_at),
            used_at: blob.map(|blob| blob.used_at),
        }
    }

    /// What the contents take that were fetched. It looks at files.
    pub(super) fn cached(&self) -> Result<Vec<Cached>> {
        let known = self.0.records.known();
        let users = (self.0.config.users)();
        let used: Option<BTreeSet<String>> =
            users.map(|users| users.into_iter().map(|(hash, _)| hash).collect());
        let asked = self.state().asked.clone();
        let fetched = known.blobs.iter().filter(|(_, blob)| blob.file.is_none());
        let cached = fetched.filter_map(|(hash, blob)| {
            let bytes = match blob.here {
                Here::All => blob.size_bytes,
                Here::Some if self.state().held.contains_key(hash) => blob.size_bytes,
                Here::Some => self.on_disk(hash),
                _ => return None,
            };
            let is_used = used.as_ref().is_none_or(|used| used.contains(&hex(hash)));
            let was_asked = asked.get(hash).is_some_and(|at| at.elapsed() < STAYS_FOR);
            let is_shared = known.names_of(hash).any(|(_, name)| name.shared);
            Some(Cached {
                hash: *hash,
                bytes,
                used_at: blob.used_at,
                stays: is_used || was_asked || is_shared || self.is_held(hash),
            })
        });
        Ok(cached.collect())
    }

    /// Makes room for an image of this size; what goes is gone when this returns.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED`: there is none, and nothing was removed.
    pub(super) async fn make_room(&self, still: &Still, hash: Word, size_bytes: u64) -> Result<()> {
        let shelf = self.clone();
        let going = blocking(move || {
            let mut cached = shelf.cached()?;
            cached.retain(|it| it.hash != hash);
            let known = shelf.0.records.known();
            // What comes meanwhile is on disk only when it has come.
            let coming = known.blobs.iter().filter(|(of, blob)| {
                **of != hash && blob.here == Here::Some && shelf.state().held.contains_key(*of)
            });
            let coming: u64 = coming
                .map(|(of, blob)| blob.size_bytes.saturating_sub(shelf.on_disk(of)))
                .sum();
            let config = &shelf.0.config;
            let free = free_bytes(&config.folder)?;
            let room = Room {
                limit_bytes: config.max_cached_bytes,
                free_bytes: free
                    .saturating_sub(config.keep_free_bytes)
                    .saturating_sub(coming),
            };
            let needed = size_bytes.saturating_add(outboard_bytes(size_bytes));
            evict(&cached, room, needed, shelf.on_disk(&hash))
        });
        let going = going.await??;
        if going.is_empty() {
            return Ok(());
        }
        for hash in &going {
            tracing::info!(hash = hex(hash), "an image goes, to make room for another");
        }
        let evicted = going.clone();
        let edit = move |known: &mut super::store::Known| {
            for hash in &evicted {
                if let Some(blob) = known.blobs.get_mut(hash) {
                    blob.here = Here::Nothing;
                }
            }
            Ok(())
        };
        self.0.records.change(edit).await?;
        self.collect(still).await
    }

    /// Whether the disk has room for what a shared file of this size needs.
    pub(super) fn check_room_beside(&self, size_bytes: u64) -> Result<()> {
        let config = &self.0.config;
        let needed = outboard_bytes(size_bytes);
        let free = free_bytes(&config.folder)?.saturating_sub(config.keep_free_bytes);
        if needed > free {
            return Err(Status::resource_exhausted(format!(
                "the disk is full: what is kept beside the image needs {needed} bytes, and {free} could be free; make room, nothing was changed"
            )));
        }
        Ok(())
    }

    /// Removes a content of which nothing is to be left, whatever the records say.
    pub(super) async fn condemn(&self, still: &Still, hash: Word) -> Result<()> {
        self.state().condemned.insert(hash);
        let collected = self.collect(still).await;
        self.state().condemned.remove(&hash);
        collected
    }

    /// Removes all contents that neither a record nor anybody holds.
    ///
    /// # Cancel safety
    /// What was begun is done, and nothing is decided before.
    pub(super) async fn collect(&self, still: &Still) -> Result<()> {
        let (still, collect) = (Still(Arc::clone(&still.0)), self.0.collect.clone());
        let collecting = tokio::spawn(async move {
            let (done, is_done) = oneshot::channel();
            collect.send(done).await.ok()?;
            let is_done = tokio::time::timeout(COLLECT_PATIENCE, is_done).await;
            drop(still);
            is_done.ok()?.ok()
        });
        collecting.await.ok().flatten().ok_or_else(|| {
            Status::unavailable(
                "the contents of images cannot be removed any more: look for errors in the log, and start the daemon again",
            )
        })
    }

    /// Forces to disk what has come of a content.
    pub(super) async fn sync(&self, hash: Word) -> Result<()> {
        let shelf = self.clone();
        let synced = blocking(move || {
            let outboard = shelf.0.paths.outboard_path(&Hash::from_bytes(hash));
            for path in [shelf.data(&hash), outboard] {
                match fs::File::open(&path).and_then(|file| file.sync_all()) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            Ok(())
        });
        synced.await?.map_err(|error| {
            Status::unavailable(format!("an image cannot be forced to disk: {error}"))
        })
    }

    /// Ends; afterwards the folder can be opened again.
    pub(super) async fn close(&self) {
        let shut = self.0.store.shutdown().await;
        if let Err(error) = &shut {
            tracing::warn!(%error, "the contents of images were not closed well");
        }
        self.0.closed.store(shut.is_ok(), Ordering::SeqCst);
        self.0.records.close().await;
    }

    /// What is said to be here and is not, after a crash of the system or by hands, is to be fetched again.
    async fn mend(&self) -> Result<()> {
        let known = self.0.records.known();
        let mut lost = Vec::new();
        for (hash, blob) in &known.blobs {
            if blob.here != Here::All {
                continue;
            }
            let is_here = self.0.store.has(Hash::from_bytes(*hash)).await;
            let is_here = is_here.map_err(|error| {
                Status::unavailable(format!("the contents of images cannot be read: {error}"))
            })?;
            let has_file = blob.file.is_some()
                || fs::metadata(self.data(hash)).is_ok_and(|it| it.len() == blob.size_bytes);
            if !is_here || !has_file {
                tracing::warn!(hash = hex(hash), "the content of an image is gone");
                lost.push(*hash);
            }
        }
        if lost.is_empty() {
            return Ok(());
        }
        let edit = move |known: &mut super::store::Known| {
            for hash in &lost {
                if let Some(blob) = known.blobs.get_mut(hash) {
                    blob.here = Here::Nothing;
                }
            }
            Ok(())
        };
        self.0.records.change(edit).await
    }

    /// Where a content lies that was fetched.
    fn data(&self, hash: &Word) -> PathBuf {
        self.0.paths.data_path(&Hash::from_bytes(*hash))
    }

    /// What of a content that was fetched is on disk.
    fn on_disk(&self, hash: &Word) -> u64 {
        fs::metadata(self.data(hash)).map_or(0, |found| found.blocks() * 512)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf")
            .field("config", &self.0.config)
            .finish_non_exhaustive()
    }
}

/// Nothing is removed while this is there.
pub(super) struct Still(Arc<OwnedMutexGuard<()>>);

/// A file that is read to be shared.
pub(super) struct Reading(Shelf);

impl Drop for Reading {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.reading -= 1;
        // One that came to nothing has left something, and none other needs it now.
        if state.reading == 0 {
            clear(&self.0.0.paths.temp_path);
        }
    }
}

/// Something that stays, since it is under way.
pub(super) struct Held {
    state: Arc<Mutex<State>>,
    hash: Word,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = state.held.get_mut(&self.hash) {
            *count -= 1;
            if *count == 0 {
                state.held.remove(&self.hash);
            }
        }
    }
}

/// Has the store remove what nothing protects whenever it is told to, and then alone. What is protected follows from the records.
fn collector(
    collected: mpsc::Receiver<oneshot::Sender<()>>,
    records: Records,
    state: Arc<Mutex<State>>,
    closed: Arc<AtomicBool>,
) -> GcConfig {
    let asked = Arc::new(AsyncMutex::new((collected, None::<oneshot::Sender<()>>)));
    let protect: ProtectCb = Arc::new(move |protected: &mut HashSet<Hash>| {
        let (asked, records, closed) = (Arc::clone(&asked), records.clone(), Arc::clone(&closed));
        let state = Arc::clone(&state);
        let protecting = async move {
            let mut asked = asked.lock().await;
            // It comes back when it has removed what it was told to the time before.
            if let Some(done) = asked.1.take() {
                let _ = done.send(());
            }
            let Some(done) = asked.0.recv().await else {
                if !closed.load(Ordering::SeqCst) {
                    std::future::pending::<()>().await;
                }
                // There is no store any more: it notices that, and ends.
                return ProtectOutcome::Continue;
            };
            asked.1 = Some(done);
            let state = state.lock().unwrap_or_else(PoisonError::into_inner);
            let known = records.known();
            let kept = known.blobs.iter().filter(|(_, blob)| {
                // Whatever a newer daemon says, it has something here.
                blob.here != Here::Nothing
            });
            protected.extend(
                kept.map(|(hash, _)| hash)
                    .chain(state.held.keys())
                    .filter(|hash| !state.condemned.contains(*hash))
                    .map(|hash| Hash::from_bytes(*hash)),
            );
            ProtectOutcome::Continue
        };
        Box::pin(protecting)
    });
    GcConfig {
        interval: Duration::ZERO,
        add_protected: Some(protect),
    }
}

/// What is kept beside a content: a pair of hashes for each two blocks of 16 KiB.
pub(super) fn outboard_bytes(size_bytes: u64) -> u64 {
    size_bytes.div_ceil(16 << 10).saturating_sub(1) * 64
}

/// Runs what waits for files.
pub(super) async fn blocking<T: Send + 'static>(
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let ran = tokio::task::spawn_blocking(run).await;
    ran.map_err(|error| Status::internal(format!("what waits for files has failed: {error}")))
}

/// The time, as records have it.
pub(super) fn now() -> SystemTime {
    SystemTime::now()
}

fn free_bytes(folder: &Path) -> Result<u64> {
    let found = rustix::fs::statvfs(folder).map_err(|error| {
        Status::unavailable(format!(
            "the disk of {} cannot be asked: {error}",
            folder.display()
        ))
    })?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

fn make_folder(folder: &mut PathBuf) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)?;
    *folder = folder.canonicalize()?;
    Ok(())
}

fn clear(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        // One that is gone is what was wanted.
        let _ = fs::remove_file(entry.path());
    }
}

const RECORDS: &str = "images.redb";
const CONTENTS: &str = "contents";
/// How long the removal of contents may take.
const COLLECT_PATIENCE: Duration = Duration::from_secs(120);
