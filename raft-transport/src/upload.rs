//! How a snapshot is uploaded: in chunks with their hashes, at a limited rate, and on from where it was cut. How it arrives lives in
//! `arrival`.

use std::{io::SeekFrom, sync::Arc, time::Duration};

use blixard_rpc::{Context, Status, Streaming, backoff::Backoff, call::Sender};
use blixard_services::raft::{
    Raft as _, RaftMessage, SnapshotBegin, SnapshotChunk, SnapshotEnd, SnapshotPart,
    SnapshotProgress,
};
use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncSeek, AsyncSeekExt as _},
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};

use crate::{
    class::Class,
    config::SNAPSHOT_CHUNK_BYTES,
    error::SendError,
    outbound::{OPEN_TIMEOUT, client, failure},
    pace::{Pace, WINDOW_CHUNKS},
    shared::{PeerState, Shared, lock},
    snapshot::{MAX_ID_BYTES, OutgoingSnapshot},
};

const CLASS: Class = Class::Snapshot;

/// When an upload goes on after a cut.
const RETRY: Backoff = Backoff {
    first: Duration::from_millis(50),
    longest: Duration::from_secs(1),
};

/// Uploads, until it is installed, or gets no further for too long.
pub(crate) async fn send<R>(
    shared: &Arc<Shared>,
    state: &Arc<PeerState>,
    snapshot: OutgoingSnapshot<R>,
) -> Result<RaftMessage, SendError>
where
    R: AsyncRead + AsyncSeek + Send + Unpin + 'static,
{
    check(&snapshot)?;
    let mut upload = Upload {
        shared,
        state,
        snapshot,
        hashes: Hashes::default(),
        received: 0,
    };
    let mut gets_on = Instant::now();
    let mut failures = 0;
    loop {
        let before = upload.received;
        let sent = Instant::now();
        let status = match upload.attempt().await {
            Ok(response) => {
                let now = Instant::now();
                let took = now.saturating_duration_since(sent);
                state.asked(shared, CLASS, |health| health.acked(now, took, 0));
                return Ok(response);
            }
            Err(Broken::Call(status)) => status,
            Err(Broken::Source(error)) => {
                return Err(SendError::Failed(Status::internal(format!(
                    "the snapshot {:?} cannot be read: {error}",
                    upload.snapshot.id
                ))));
            }
        };
        state.class(CLASS).counts.failed.add(1);
        if upload.received > before {
            gets_on = Instant::now();
            failures = 0;
        }
        failures += 1;
        if let Some(failure) = failure(&status) {
            state.asked(shared, CLASS, |health| health.failed(failure));
        }
        let mends = match SendError::from(status.clone()) {
            SendError::Unreachable(_) | SendError::Timeout(_) => true,
            SendError::Failed(status) => is_cut(&status),
            SendError::Full(_) | SendError::Superseded | SendError::Refused(_) => false,
        };
        if !mends || gets_on.elapsed() >= shared.config.snapshot.give_up_after {
            return Err(status.into());
        }
        tracing::debug!(
            peer = state.id(), id = upload.snapshot.id, received = upload.received, %status,
            "an upload of a snapshot was cut, and goes on"
        );
        sleep(RETRY.jittered(failures)).await;
    }
}

/// Whether the call has ended in a way that another one may not.
fn is_cut(status: &Status) -> bool {
    use blixard_rpc::Code;
    matches!(
        status.code(),
        Code::Cancelled | Code::Aborted | Code::DataLoss
    )
}

fn check<R>(snapshot: &OutgoingSnapshot<R>) -> Result<(), SendError> {
    let (id, payload) = (snapshot.id.len(), snapshot.payload.len());
    let max = CLASS.max_payload_bytes();
    if id == 0 || id > MAX_ID_BYTES || payload > max {
        return Err(SendError::Failed(Status::invalid_argument(format!(
            "the id of a snapshot has {id} bytes, and its payload {payload}; they may have 1 to {MAX_ID_BYTES}, and {max}"
        ))));
    }
    Ok(())
}

/// An upload, over all its attempts.
struct Upload<'a, R> {
    shared: &'a Arc<Shared>,
    state: &'a Arc<PeerState>,
    snapshot: OutgoingSnapshot<R>,
    hashes: Hashes,
    /// How many bytes are there, as far as that is known.
    received: u64,
}

/// The hash of the hashes of all chunks so far.
#[derive(Default)]
struct Hashes {
    hasher: blake3::Hasher,
    /// How many bytes it covers.
    bytes: u64,
}

impl Hashes {
    fn add(&mut self, offset: u64, chunk: &[u8], hash: &blake3::Hash) {
        // What is sent again is in it already.
        if offset == self.bytes {
            self.hasher.update(hash.as_bytes());
            self.bytes += chunk.len() as u64;
        }
    }
}

/// Why an attempt ended.
enum Broken {
    Call(Status),
    Source(std::io::Error),
}

impl From<Status> for Broken {
    fn from(status: Status) -> Self {
        Self::Call(status)
    }
}

impl From<std::io::Error> for Broken {
    fn from(error: std::io::Error) -> Self {
        Self::Source(error)
    }
}

impl<R> Upload<'_, R>
where
    R: AsyncRead + AsyncSeek + Send + Unpin + 'static,
{
    /// One call.
    async fn attempt(&mut self) -> Result<RaftMessage, Broken> {
        let (parts, stream) = Streaming::channel(2);
        let begin = SnapshotPart::Begin(SnapshotBegin {
            cluster: self.shared.config.cluster.clone(),
            target: self.state.id(),
            term: self.snapshot.term,
            id: self.snapshot.id.clone(),
            total_bytes: self.snapshot.total_bytes,
            payload: self.snapshot.payload.clone(),
        });
        parts.send(begin).await?;
        let idle = self.shared.config.snapshot.idle_timeout;
        let cx = Context::background();
        let client = client(self.shared, self.state, CLASS)?;
        let opening = timeout(OPEN_TIMEOUT, client.snapshot(&cx, stream)).await;
        let mut progress = opening.map_err(|_| {
            Status::unavailable(format!(
                "member {} has not opened the stream within {OPEN_TIMEOUT:?}",
                self.state.id()
            ))
        })??;
        let offset = match next(&mut progress, idle).await? {
            SnapshotProgress::Received(offset) => offset,
            SnapshotProgress::Installed(response) => return Ok(response),
        };
        let total = self.snapshot.total_bytes;
        if offset > total || (offset != total && offset % SNAPSHOT_CHUNK_BYTES as u64 != 0) {
            return Err(Status::internal(format!(
                "{offset} of {total} bytes are said to be there, which cannot be"
            ))
            .into());
        }
        self.received = self.received.max(offset);
        let window = Semaphore::new(WINDOW_CHUNKS as usize);
        let mut received = offset;
        let Self {
            shared,
            state,
            snapshot,
            hashes,
            received: known,
        } = self;
        let sending = async {
            hash_up_to(snapshot, hashes, offset).await?;
            send_chunks(shared, state, snapshot, hashes, &parts, &window, offset).await
        };
        tokio::pin!(sending);
        let mut is_sending = true;
        loop {
            let answer = tokio::select! {
                answer = next(&mut progress, idle) => answer?,
                sent = &mut sending, if is_sending => {
                    // A call that was ended says why by its answer.
                    if let Err(Broken::Source(error)) = sent {
                        return Err(error.into());
                    }
                    is_sending = false;
                    continue;
                }
            };
            match answer {
                SnapshotProgress::Received(now) if now >= received && now <= total => {
                    let chunks = (now - received).div_ceil(SNAPSHOT_CHUNK_BYTES as u64);
                    window.add_permits(usize::try_from(chunks).unwrap_or(usize::MAX >> 4));
                    received = now;
                    *known = received.max(*known);
                }
                SnapshotProgress::Received(_) => {
                    return Err(Status::internal("what is there became less").into());
                }
                SnapshotProgress::Installed(response) => return Ok(response),
            }
        }
    }
}

/// The next answer.
async fn next(
    progress: &mut Streaming<SnapshotProgress>,
    idle: Duration,
) -> Result<SnapshotProgress, Status> {
    match timeout(idle, progress.next()).await {
        Ok(Some(answer)) => answer,
        Ok(None) => Err(Status::unavailable(
            "the upload was ended before it was installed",
        )),
        Err(_) => Err(Status::deadline_exceeded(format!(
            "nothing came of the upload for {idle:?}"
        ))),
    }
}

/// Hashes what is there already and was not sent by this call: somebody else has sent it before.
async fn hash_up_to<R>(
    snapshot: &mut OutgoingSnapshot<R>,
    hashes: &mut Hashes,
    offset: u64,
) -> Result<(), Broken>
where
    R: AsyncRead + AsyncSeek + Unpin,
{
    if hashes.bytes >= offset {
        return Ok(());
    }
    snapshot.source.seek(SeekFrom::Start(hashes.bytes)).await?;
    while hashes.bytes < offset {
        let chunk = read(snapshot, hashes.bytes).await?;
        hashes.add(hashes.bytes, &chunk, &blake3::hash(&chunk));
    }
    Ok(())
}

async fn send_chunks<R>(
    shared: &Shared,
    state: &PeerState,
    snapshot: &mut OutgoingSnapshot<R>,
    hashes: &mut Hashes,
    parts: &Sender<SnapshotPart>,
    window: &Semaphore,
    mut offset: u64,
) -> Result<(), Broken>
where
    R: AsyncRead + AsyncSeek + Unpin,
{
    let mut pace = Pace::new(Instant::now(), log_messages(shared));
    // When the last chunk was.
    let mut sent = Instant::now();
    snapshot.source.seek(SeekFrom::Start(offset)).await?;
    while offset < snapshot.total_bytes {
        let data = read(snapshot, offset).await?;
        let hash = blake3::hash(&data);
        hashes.add(offset, &data, &hash);
        let chunks = pace.chunks(Instant::now(), log_messages(shared));
        // As many are free as may not be taken, and one for this one.
        let free = window.acquire_many(WINDOW_CHUNKS + 1 - chunks).await;
        let mut free = free.expect("nobody closes it");
        free.split(1).expect("there is one at least").forget();
        drop(free);
        let (now, bytes) = (Instant::now(), data.len());
        let pause = pace.pause(now.saturating_duration_since(sent));
        let wait = lock(&shared.rate).take(now, bytes).max(pause);
        if !wait.is_zero() {
            sleep(wait).await;
        }
        sent = Instant::now();
        parts
            .send(SnapshotPart::Chunk(SnapshotChunk {
                offset,
                data,
                hash: Bytes::copy_from_slice(hash.as_bytes()),
            }))
            .await?;
        state.class(CLASS).counts.sent(1, bytes);
        offset += bytes as u64;
    }
    let hash = hashes.hasher.finalize();
    let end = SnapshotPart::End(SnapshotEnd {
        hash: Bytes::copy_from_slice(hash.as_bytes()),
    });
    Ok(parts.send(end).await?)
}

/// How many messages of the log there were, to and from all members.
fn log_messages(shared: &Shared) -> u64 {
    let peers = shared.peers();
    let counts = peers
        .iter()
        .map(|peer| &peer.class(Class::LogAppend).counts);
    counts
        .map(|it| it.sent_messages.get() + it.received_messages.get())
        .sum()
}

/// The chunk at `offset`, where the source is.
async fn read<R: AsyncRead + Unpin>(
    snapshot: &mut OutgoingSnapshot<R>,
    offset: u64,
) -> std::io::Result<Bytes> {
    let left = snapshot.total_bytes - offset;
    let length = left.min(SNAPSHOT_CHUNK_BYTES as u64) as usize;
    // Not filled with zeroes before it is read.
    let mut chunk = BytesMut::with_capacity(length);
    while chunk.len() < length {
        let rest = (length - chunk.len()) as u64;
        let read = (&mut snapshot.source)
            .take(rest)
            .read_buf(&mut chunk)
            .await?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(chunk.freeze())
}
