//! [`Upload`]: what has come of a snapshot: chunks checked against their hashes, in a file that is removed if nothing comes of it. Who
//! sends it was checked before.

use std::{
    fs::{self, File},
    io::{self, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use blixard_rpc::{Result, Status};
use blixard_services::raft::{RaftMessage, SnapshotBegin, SnapshotChunk, SnapshotEnd};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    task::spawn_blocking,
    time::Instant,
};

use crate::{
    config::{SNAPSHOT_CHUNK_BYTES, TransportConfig},
    member::MemberId,
    snapshot::{MAX_ID_BYTES, ReceivedSnapshot, TemporaryFile},
};

/// What has come of a snapshot, over all calls that bring it.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) id: String,
    pub(crate) total_bytes: u64,
    /// The number of the call that brings it now: those before bring nothing any more.
    call: AtomicU64,
    arrived: Arc<Mutex<Arrived>>,
}

/// What has come so far.
#[derive(Debug)]
pub(crate) struct Arrived {
    stage: Stage,
    offset: u64,
    hasher: blake3::Hasher,
    /// When something came last.
    touched: Instant,
}

#[derive(Debug)]
enum Stage {
    Coming {
        file: File,
        path: TemporaryFile,
    },
    /// The engine has it, or had it.
    Given,
    Installed(RaftMessage),
}

impl Upload {
    /// # Errors
    /// `RESOURCE_EXHAUSTED` if it is larger than it may be, `INTERNAL` if there can be no file for it.
    pub(crate) async fn new(
        config: &TransportConfig,
        from: MemberId,
        begin: &SnapshotBegin,
    ) -> Result<Self> {
        let max = config.snapshot.max_bytes;
        if begin.total_bytes > max {
            return Err(Status::resource_exhausted(format!(
                "a snapshot of {} bytes is larger than the {max} that are taken: raise snapshot.max_bytes",
                begin.total_bytes
            )));
        }
        if begin.id.is_empty() || begin.id.len() > MAX_ID_BYTES {
            return Err(Status::invalid_argument(format!(
                "the id of a snapshot has 1 to {MAX_ID_BYTES} bytes"
            )));
        }
        let directory = &config.snapshot.directory;
        let name = format!(
            "{}{from}-{}{SUFFIX}",
            prefix(config),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let path = TemporaryFile(directory.join(name));
        let open = async {
            tokio::fs::create_dir_all(directory).await?;
            let mut options = tokio::fs::File::options();
            let file = options.write(true).create_new(true).open(&path.0).await?;
            Ok(file.into_std().await)
        };
        let file = open
            .await
            .map_err(|error| cannot("make", &path.0, &error))?;
        Ok(Self {
            id: begin.id.clone(),
            total_bytes: begin.total_bytes,
            call: AtomicU64::new(0),
            arrived: Arc::new(Mutex::new(Arrived {
                stage: Stage::Coming { file, path },
                offset: 0,
                hasher: blake3::Hasher::new(),
                touched: Instant::now(),
            })),
        })
    }

    /// Whether another call may bring more of it, or ask what has become of it. Not if the engine has refused it.
    pub(crate) fn can_go_on(&self) -> bool {
        match self.arrived.try_lock() {
            Ok(arrived) => !matches!(arrived.stage, Stage::Given),
            // Somebody still writes, or the engine installs it.
            Err(_) => true,
        }
    }

    /// A call that brings more of it; others bring nothing any more.
    pub(crate) fn begin(&self) -> u64 {
        self.call.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// When something came last; `None` while something comes.
    pub(crate) fn touched(&self) -> Option<Instant> {
        Some(self.arrived.try_lock().ok()?.touched)
    }

    /// What has come, for as long as this call is the one that brings it. It waits for one that is still writing.
    ///
    /// # Errors
    /// `ABORTED` if another call brings it.
    pub(crate) async fn arrived(&self, call: u64) -> Result<OwnedMutexGuard<Arrived>> {
        let mut arrived = Arc::clone(&self.arrived).lock_owned().await;
        if self.call.load(Ordering::Acquire) != call {
            return Err(Status::aborted("another call brings this snapshot now"));
        }
        arrived.touched = Instant::now();
        Ok(arrived)
    }
}

impl Arrived {
    /// How many bytes are there.
    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    /// What the engine has said of it, if it was installed already: it was not heard then.
    pub(crate) const fn installed(&self) -> Option<&RaftMessage> {
        match &self.stage {
            Stage::Installed(response) => Some(response),
            Stage::Coming { .. } | Stage::Given => None,
        }
    }

    /// Takes a chunk; says how many bytes are there now.
    ///
    /// It is hashed and written where that holds up nobody. A call that is cut meanwhile still has its chunk written: who comes next waits
    /// for that.
    ///
    /// # Errors
    /// `DATA_LOSS` if it is not what its hash says, `INVALID_ARGUMENT` if it is not the next one.
    pub(crate) async fn chunk(
        mut this: OwnedMutexGuard<Self>,
        chunk: SnapshotChunk,
        total_bytes: u64,
    ) -> Result<u64> {
        let taking = spawn_blocking(move || this.take_chunk(&chunk, total_bytes));
        taking
            .await
            .map_err(|_| Status::internal("the chunk could not be taken"))?
    }

    fn take_chunk(&mut self, chunk: &SnapshotChunk, total_bytes: u64) -> Result<u64> {
        let left = total_bytes - self.offset;
        let expected = left.min(SNAPSHOT_CHUNK_BYTES as u64);
        if chunk.offset != self.offset || chunk.data.len() as u64 != expected || expected == 0 {
            return Err(Status::invalid_argument(format!(
                "{} bytes at {} are not the next chunk, which has {expected} at {}",
                chunk.data.len(),
                chunk.offset,
                self.offset
            )));
        }
        let hash = blake3::hash(&chunk.data);
        if hash.as_bytes()[..] != chunk.hash[..] {
            return Err(Status::data_loss(format!(
                "the chunk at {} is not what its hash says",
                chunk.offset
            )));
        }
        let Stage::Coming { file, path } = &mut self.stage else {
            return Err(Status::aborted("the snapshot was taken already"));
        };
        // Where a write has failed in the middle, that part is written again.
        let written = file
            .seek(SeekFrom::Start(self.offset))
            .and_then(|_| file.write_all(&chunk.data));
        if let Err(error) = written {
            let status = cannot("write", &path.0, &error);
            // A disk that is full is not to stay so.
            self.stage = Stage::Given;
            return Err(status);
        }
        self.hasher.update(hash.as_bytes());
        self.offset += chunk.data.len() as u64;
        Ok(self.offset)
    }

    /// Takes the end: the whole snapshot.
    ///
    /// # Errors
    /// `DATA_LOSS` if it is not what its hash says; then all of it is dropped.
    pub(crate) fn end(
        &mut self,
        end: &SnapshotEnd,
        begin: SnapshotBegin,
    ) -> Result<ReceivedSnapshot> {
        if self.offset != begin.total_bytes {
            return Err(Status::invalid_argument(format!(
                "the end came after {} of {} bytes",
                self.offset, begin.total_bytes
            )));
        }
        let Stage::Coming { path, .. } = std::mem::replace(&mut self.stage, Stage::Given) else {
            return Err(Status::aborted("the snapshot was taken already"));
        };
        if self.hasher.finalize().as_bytes()[..] != end.hash[..] {
            return Err(Status::data_loss(
                "the snapshot is not what its hash says: it has changed while it was sent",
            ));
        }
        Ok(ReceivedSnapshot::new(
            begin.id,
            begin.term,
            begin.payload,
            begin.total_bytes,
            path,
        ))
    }

    /// The engine has installed it.
    pub(crate) fn set_installed(&mut self, response: RaftMessage) {
        self.stage = Stage::Installed(response);
        self.touched = Instant::now();
    }
}

/// Removes what an earlier run of this member has left.
pub(crate) fn clean(config: &TransportConfig) {
    let prefix = prefix(config);
    let Ok(entries) = fs::read_dir(&config.snapshot.directory) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(&prefix) && name.ends_with(SUFFIX) {
            drop(TemporaryFile(entry.path()));
        }
    }
}

/// What the names of the files of this member begin with.
fn prefix(config: &TransportConfig) -> String {
    // The name of a cluster may have characters that files may not.
    let cluster = blake3::hash(config.cluster.as_bytes()).to_hex();
    format!("upload-{}-{}-", &cluster[..16], config.id)
}

const SUFFIX: &str = ".part";

/// Tells files of one process apart.
static NUMBER: AtomicU64 = AtomicU64::new(0);

fn cannot(what: &str, path: &Path, error: &io::Error) -> Status {
    let path = PathBuf::from(path);
    tracing::warn!(path = %path.display(), %error, "cannot {what} a file for a snapshot");
    // What files there are here is no business of others.
    Status::internal(format!("cannot {what} a file for the snapshot: {error}"))
}
