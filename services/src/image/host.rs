//! [`ImageHost`]: the service of a node's images.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use blixard_rpc::{Context, Result, Status, Streaming};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use iroh::{Endpoint, EndpointAddr};
use iroh_blobs::{
    BlobFormat, BlobsProtocol,
    api::blobs::{AddPathOptions, AddProgressItem, ImportMode},
};
use tokio::{
    sync::{mpsc, watch},
    task::AbortHandle,
};

use super::{
    api::{Images, ImagesServer},
    config::ImageConfig,
    fetch::{Beginning, Fetch, HEADER_BYTES, Net, Rate, View, local},
    gate::{Gate, Guard, MayFetch},
    holders::Holders,
    messages::{
        DescribeResponse, Done, GetEvent, GetResponse, Image, ImageFormat, ImageState,
        ListResponse, LocateResponse, Progress, Provider, RemoveResponse, ShareEvent,
        ShareResponse,
    },
    plan::MAX_IMAGE_BYTES,
    shelf::{Shelf, blocking, now},
    stamp::Stamp,
    store::{Blob, Here, Known, Name, Shared},
    valid::{self, Word, hex},
};
use crate::disk;

/// The most images that a node knows.
pub const MAX_IMAGES: usize = 10_000;

/// The images of a node: shared with others, and fetched from them. A clone is another handle of the same.
///
/// It gives nothing until its [`protocol`](Self::protocol) is served beside the calls, on the endpoint that it was opened with.
#[derive(Clone)]
pub struct ImageHost(Arc<Inner>);

struct Inner {
    shelf: Shelf,
    net: Net,
    protocol: BlobsProtocol,
    _gate: Guard,
    may: May,
    /// What is being fetched.
    jobs: Mutex<BTreeMap<Word, Weak<Job>>>,
    holders: Mutex<Holders>,
}

impl ImageHost {
    /// Opens the images that are known, to be fetched from and given to others by this endpoint.
    ///
    /// # Errors
    /// The records or the contents cannot be opened: another daemon has them, or the disk says no.
    pub async fn open(config: ImageConfig, endpoint: Endpoint) -> Result<Self> {
        let gate = Gate::default();
        let shelf = Shelf::open(config, gate.clone()).await?;
        let may = May {
            shelf: shelf.clone(),
        };
        let asked = may.clone();
        let may_fetch: MayFetch = Arc::new(move |key, hash| asked.fetch(key, hash).is_ok());
        let (events, guard) = gate.begin(may_fetch);
        let protocol = BlobsProtocol::new(shelf.store(), Some(events));
        Ok(Self(Arc::new(Inner {
            shelf,
            net: Net::new(endpoint),
            protocol,
            _gate: guard,
            may,
            jobs: Mutex::default(),
            holders: Mutex::default(),
        })))
    }

    /// The service, for a router: `Router::new().add(host.server())`.
    #[must_use]
    pub fn server(&self) -> ImagesServer<Self> {
        ImagesServer::new(self.clone())
    }

    /// What gives contents to other nodes, to be served by the endpoint under [`ALPN`](super::ALPN).
    #[must_use]
    pub fn protocol(&self) -> BlobsProtocol {
        self.0.protocol.clone()
    }

    /// This node, as others name it when they fetch from it.
    #[must_use]
    pub fn provider(&self) -> Provider {
        valid::provider(&self.0.net.endpoint.addr())
    }

    /// The file with the content of this hash, for somebody who is about to use it. It must not be written to. It stays for a minute at
    /// least, and for as long as [`users`](ImageConfig::users) names it.
    ///
    /// # Errors
    /// It is not here as a whole, or is not what it was; and what to do about it.
    pub async fn file(&self, hash: &str) -> Result<PathBuf> {
        let hash = valid::hash(hash)?;
        let file = self.0.shelf.ask(hash).await?;
        let edit = move |known: &mut Known| {
            if let Some(blob) = known.blobs.get_mut(&hash) {
                blob.used_at = now();
            }
            Ok(())
        };
        // When it was used last decides what goes first, and no more: a disk that is full keeps nobody from reading.
        if let Err(status) = self.0.shelf.records().change(edit).await {
            tracing::warn!(%status, "it is not recorded that an image was used");
        }
        Ok(file)
    }

    /// Fetches and gives no more. Afterwards the folder can be opened again.
    pub async fn close(&self) {
        let jobs: Vec<Arc<Job>> = self.jobs().values().filter_map(Weak::upgrade).collect();
        for job in jobs {
            job.task.abort();
        }
        self.0.shelf.close().await;
    }

    fn jobs(&self) -> MutexGuard<'_, BTreeMap<Word, Weak<Job>>> {
        self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn image(&self, name: String) -> Result<Image> {
        let host = self.clone();
        blocking(move || {
            let known = host.0.shelf.records().known();
            let record = known.names.get(&name).ok_or_else(|| missing(&name))?;
            let blob = known.blobs.get(&record.hash());
            Ok(host.0.shelf.view(&name, record, blob, &host.0.shelf.used()))
        })
        .await?
    }

    async fn done(&self, name: String, changed: bool, begun: Instant) -> Result<Done> {
        Ok(Done {
            image: self.image(name).await?,
            changed,
            took: Some(begun.elapsed()),
        })
    }
}

// Removing.

impl ImageHost {
    async fn remove_name(&self, name: String, if_hash: Option<Word>) -> Result<RemoveResponse> {
        let shelf = &self.0.shelf;
        let still = shelf.still().await;
        let known = shelf.records().known();
        let Some(record) = known.names.get(&name) else {
            return Ok(RemoveResponse { changed: false });
        };
        let hash = record.hash();
        if if_hash.is_some_and(|wanted| wanted != hash) {
            return Err(Status::aborted(format!(
                "{name} leads to {}, and not where you said: look at it again",
                hex(&hash)
            )));
        }
        let is_last = known.names_of(&hash).count() == 1;
        if is_last {
            shelf.check_unused(&name, &hash)?;
        }
        let edit = move |known: &mut Known| {
            known.names.remove(&name);
            if is_last {
                known.blobs.remove(&hash);
            }
            Ok(())
        };
        shelf.records().change(edit).await?;
        if is_last {
            shelf.collect(&still).await?;
        }
        Ok(RemoveResponse { changed: true })
    }
}

// Sharing.

/// What is to be shared.
#[derive(Clone, Debug)]
struct Sharing {
    name: String,
    file: String,
    path: PathBuf,
    format: ImageFormat,
    readers: Vec<String>,
}

impl ImageHost {
    /// What a file is, before it is read as a whole.
    async fn look_at(&self, sharing: &Sharing) -> Result<Stamp> {
        let sharing = sharing.clone();
        let shelf = self.0.shelf.clone();
        blocking(move || {
            let failed = |error| {
                Status::unavailable(format!(
                    "the file {:?} cannot be read: {error}",
                    sharing.file
                ))
            };
            let mut header = vec![0; HEADER_BYTES as usize];
            let length = {
                use std::os::unix::fs::FileExt as _;
                let file = std::fs::File::open(&sharing.path).map_err(failed)?;
                file.read_at(&mut header, 0).map_err(failed)?
            };
            let stamp = Stamp::of(&sharing.path).map_err(failed)?;
            check_header(&header[..length], stamp.size_bytes(), sharing.format).map_err(|why| {
                Status::invalid_argument(format!("the file {:?} {why}", sharing.file))
            })?;
            shelf.check_room_beside(stamp.size_bytes())?;
            Ok(stamp)
        })
        .await?
    }

    /// Whether it is shared already, as it is.
    fn is_shared(&self, sharing: &Sharing, stamp: &Stamp) -> Result<bool> {
        let known = self.0.shelf.records().known();
        let Some(record) = known.names.get(&sharing.name) else {
            return Ok(false);
        };
        conflict(&sharing.name, record, None, sharing.format)?;
        let blob = known.blobs.get(&record.hash());
        let shared = blob.filter(|blob| blob.here == Here::All);
        let shared = shared.and_then(|blob| blob.file.as_ref());
        Ok(record.readers == sharing.readers
            && shared.is_some_and(|it| it.file == sharing.file && it.stamp == *stamp))
    }

    async fn share_file(
        self,
        sharing: Sharing,
        stamp: Stamp,
        said: mpsc::Sender<ShareEvent>,
    ) -> Result<Done> {
        let begun = Instant::now();
        // What is written within a tick of the clock after this could not be told apart.
        tokio::time::sleep(TICK).await;
        let shelf = &self.0.shelf;
        // A file that is not what it was is known to the store all the same: it is to forget it first.
        let (hashes, still) = {
            let still = shelf.still().await;
            let looking = self.clone();
            let file = sharing.file.clone();
            let stale = blocking(move || {
                let known = looking.0.shelf.records().known();
                let blobs = known.blobs.iter().filter(|(_, blob)| {
                    blob.file.as_ref().is_some_and(|it| it.file == file)
                        && looking.0.shelf.state_of(blob) == ImageState::Changed
                });
                blobs.map(|(hash, _)| *hash).collect::<Vec<Word>>()
            });
            (stale.await?, still)
        };
        for hash in hashes {
            shelf.condemn(&still, hash).await?;
        }
        drop(still);

        let options = AddPathOptions {
            path: sharing.path.clone(),
            format: BlobFormat::Raw,
            mode: ImportMode::TryReference,
        };
        let mut items = std::pin::pin!(
            shelf
                .store()
                .blobs()
                .add_path_with_opts(options)
                .stream()
                .await
        );
        let mut rate = Rate::default();
        let tag = loop {
            match items.next().await {
                Some(AddProgressItem::Done(tag)) => break tag,
                Some(AddProgressItem::Error(error)) => return Err(local(&error)),
                Some(AddProgressItem::OutboardProgress(done_bytes)) if rate.is_due() => {
                    let progress = Progress {
                        done_bytes,
                        total_bytes: stamp.size_bytes(),
                        bytes_per_second: rate.now(done_bytes),
                        sources: Vec::new(),
                    };
                    // Who does not read it misses some of it.
                    let _ = said.try_send(ShareEvent::Progress(progress));
                }
                Some(_) => {}
                None => return Err(Status::unavailable("the store of images has stopped")),
            }
        };
        let hash = *tag.hash().as_bytes();
        let path = sharing.path.clone();
        let after = blocking(move || Stamp::of(&path)).await?;
        if after.ok() != Some(stamp) {
            return Err(Status::aborted(format!(
                "the file {:?} was changed while it was read: share it again when nobody writes to it",
                sharing.file
            )));
        }
        let still = shelf.still().await;
        shelf
            .store()
            .sync_db()
            .await
            .map_err(|error| local(&error))?;
        let name = sharing.name.clone();
        let edit = move |known: &mut Known| {
            add_name(known, sharing, hash, stamp)?;
            Ok(())
        };
        shelf.records().change(edit).await?;
        drop(still);
        drop(tag);
        self.done(name, true, begun).await
    }
}

/// Records what was shared.
fn add_name(known: &mut Known, sharing: Sharing, hash: Word, stamp: Stamp) -> Result<()> {
    let created_at = match known.names.get(&sharing.name) {
        Some(record) => {
            conflict(&sharing.name, record, Some(&hash), sharing.format)?;
            record.created_at
        }
        None => {
            check_places(known)?;
            now()
        }
    };
    let file = Some(Shared {
        file: sharing.file,
        stamp,
    });
    known.names.insert(
        sharing.name,
        Name {
            hash: Bytes::copy_from_slice(&hash),
            format: sharing.format,
            readers: sharing.readers,
            created_at,
            shared: true,
        },
    );
    let blob = known.blobs.entry(hash).or_insert_with(|| Blob {
        size_bytes: stamp.size_bytes(),
        here: Here::Nothing,
        file: None,
        used_at: now(),
    });
    // What was fetched stays where it is, and needs no file.
    if blob.here != Here::All || blob.file.is_some() {
        blob.file = file;
    }
    blob.here = Here::All;
    blob.used_at = now();
    Ok(())
}

// Fetching.

/// An image that is being fetched, for as long as somebody waits for it.
struct Job {
    view: Arc<View>,
    ended: watch::Receiver<Option<Result<()>>>,
    task: AbortHandle,
}

impl Drop for Job {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What is to be fetched.
#[derive(Clone, Debug)]
struct Getting {
    name: String,
    hash: Word,
    format: ImageFormat,
    providers: Vec<EndpointAddr>,
}

impl ImageHost {
    /// Whether it is here already; it is recorded then.
    async fn is_here(&self, getting: &Getting) -> Result<Option<bool>> {
        let known = self.0.shelf.records().known();
        if let Some(record) = known.names.get(&getting.name) {
            conflict(&getting.name, record, Some(&getting.hash), getting.format)?;
        } else {
            check_places(&known)?;
        }
        let still = self.0.shelf.still().await;
        let known = self.0.shelf.records().known();
        let Some(blob) = known.blobs.get(&getting.hash).cloned() else {
            return Ok(None);
        };
        let looking = self.0.shelf.clone();
        if blocking(move || looking.state_of(&blob)).await? != ImageState::Ready {
            return Ok(None);
        }
        let looking = self.0.shelf.clone();
        let (hash, format) = (getting.hash, getting.format);
        // It may have come under another format.
        let is_known = known
            .names_of(&hash)
            .any(|(_, record)| record.format == format);
        if !is_known {
            let file = blocking(move || looking.file(&hash)).await??;
            let sharing = Sharing {
                name: getting.name.clone(),
                file: getting.name.clone(),
                path: file,
                format,
                readers: Vec::new(),
            };
            self.look_at(&sharing).await?;
        }
        let recorded = self.record(getting, None).await;
        drop(still);
        recorded.map(Some)
    }

    /// Records a name, and whether there was anything to record. A content that comes is recorded as well, by its size.
    async fn record(&self, getting: &Getting, coming: Option<&Beginning>) -> Result<bool> {
        let getting = getting.clone();
        let size_bytes = coming.map(|it| it.size_bytes);
        let coming_readers = coming.map(|it| it.readers.clone());
        let edit = move |known: &mut Known| {
            if let Some(size_bytes) = size_bytes {
                let blob = known.blobs.entry(getting.hash).or_insert_with(|| Blob {
                    size_bytes,
                    here: Here::Nothing,
                    file: None,
                    used_at: now(),
                });
                blob.size_bytes = size_bytes;
                blob.here = Here::Some;
                blob.file = None;
                blob.used_at = now();
            }
            let is_known = known.names.contains_key(&getting.name);
            if let Some(record) = known.names.get(&getting.name) {
                conflict(&getting.name, record, Some(&getting.hash), getting.format)?;
                return Ok(false);
            }
            check_places(known)?;
            // Whoever may fetch it there may fetch it here, and nobody else.
            let readers = coming_readers.or_else(|| {
                let mut names = known.names_of(&getting.hash);
                names.next().map(|(_, record)| record.readers.clone())
            });
            known.names.insert(
                getting.name,
                Name {
                    hash: Bytes::copy_from_slice(&getting.hash),
                    format: getting.format,
                    readers: readers.unwrap_or_default(),
                    created_at: now(),
                    shared: false,
                },
            );
            Ok(!is_known)
        };
        self.0.shelf.records().change(edit).await
    }

    /// Joins who fetches it already, or begins.
    fn job(&self, getting: &Getting) -> Arc<Job> {
        let mut jobs = self.jobs();
        jobs.retain(|_, job| job.strong_count() > 0);
        if let Some(job) = jobs.get(&getting.hash).and_then(Weak::upgrade)
            && job.ended.borrow().is_none()
            && !job.task.is_finished()
        {
            return job;
        }
        let view = Arc::new(View::new());
        let (end, ended) = watch::channel(None);
        // It holds no job, so that the job ends with those who wait for it.
        let running = self.clone().fetch_image(getting.clone(), Arc::clone(&view));
        let task = tokio::spawn(async move {
            let outcome = running.await;
            end.send_replace(Some(outcome));
        });
        let job = Arc::new(Job {
            view,
            ended,
            task: task.abort_handle(),
        });
        jobs.insert(getting.hash, Arc::downgrade(&job));
        job
    }

    async fn fetch_image(self, getting: Getting, view: Arc<View>) -> Result<()> {
        let shelf = &self.0.shelf;
        let hash = getting.hash;
        let held = {
            let _still = shelf.still().await;
            shelf.hold(hash)
        };
        let before = shelf.records().known();
        let was_known = before.blobs.get(&hash).cloned();
        if let Some(blob) = was_known.clone() {
            let looking = shelf.clone();
            if blocking(move || looking.state_of(&blob)).await? == ImageState::Ready {
                return Ok(());
            }
        }
        if let Some(blob) = &was_known
            && (blob.file.is_some() || blob.here == Here::Nothing)
        {
            // What the store knows of it is not here, or not what it was.
            let still = shelf.still().await;
            shelf.condemn(&still, hash).await?;
        }
        let mut fetch = Fetch::new(
            self.0.net.clone(),
            (**shelf.store()).clone(),
            hash,
            view,
            getting.providers.clone(),
        );
        let outcome = self.fetch_all(&getting, &mut fetch).await;
        drop(fetch);
        let Err(status) = outcome else {
            return Ok(());
        };
        // What was there before stays; what this has begun stays only if it can be gone on with.
        let begun_here = was_known.is_none_or(|blob| blob.here == Here::Nothing);
        let known = shelf.records().known();
        let is_recorded = known
            .blobs
            .get(&hash)
            .is_some_and(|it| it.here == Here::Some);
        let goes_on = is_recorded && status.code() == blixard_rpc::Code::Unavailable;
        if begun_here && !goes_on {
            let still = shelf.still().await;
            drop(held);
            if let Err(status) = shelf.condemn(&still, hash).await {
                tracing::error!(%status, "what has come of an image is not removed");
            }
            let edit = move |known: &mut Known| {
                match before.blobs.get(&hash) {
                    Some(blob) => {
                        known.blobs.insert(hash, blob.clone());
                    }
                    None => {
                        known.blobs.remove(&hash);
                    }
                }
                let names = std::mem::take(&mut known.names);
                known.names = names
                    .into_iter()
                    .filter(|(name, it)| it.hash() != hash || before.names.contains_key(name))
                    .collect();
                Ok(())
            };
            if let Err(status) = shelf.records().change(edit).await {
                tracing::error!(%status, "the record of an image that did not come stays");
            }
        }
        Err(status)
    }

    async fn fetch_all(&self, getting: &Getting, fetch: &mut Fetch) -> Result<()> {
        let shelf = &self.0.shelf;
        let hash = getting.hash;
        let beginning = fetch.begin().await?;
        check_header(&beginning.header, beginning.size_bytes, getting.format).map_err(|why| {
            Status::invalid_argument(format!("the image {}.. {why}", &hex(&hash)[..10]))
        })?;
        {
            let still = shelf.still().await;
            shelf.make_room(&still, hash, beginning.size_bytes).await?;
            self.record(getting, Some(&beginning)).await?;
        }
        fetch.run().await?;
        shelf
            .store()
            .sync_db()
            .await
            .map_err(|error| local(&error))?;
        shelf.sync(hash).await?;
        let edit = move |known: &mut Known| {
            if let Some(blob) = known.blobs.get_mut(&hash) {
                blob.here = Here::All;
                blob.used_at = now();
            }
            Ok(())
        };
        shelf.records().change(edit).await
    }
}

/// Somebody who waits for an image.
struct Waiting {
    host: ImageHost,
    getting: Getting,
    job: Arc<Job>,
    progress: watch::Receiver<Progress>,
    begun: Instant,
    over: bool,
}

impl Waiting {
    async fn next(&mut self) -> Option<Result<GetResponse>> {
        if self.over {
            return None;
        }
        let mut ended = self.job.ended.clone();
        let outcome = tokio::select! {
            biased;
            outcome = ended.wait_for(Option::is_some) => match outcome {
                Ok(outcome) => Outcome::Ended(outcome.clone().unwrap_or(Ok(()))),
                Err(_) => Outcome::Ended(Err(Status::unavailable("the daemon is stopping"))),
            },
            Ok(()) = self.progress.changed() => {
                Outcome::Progress(self.progress.borrow_and_update().clone())
            }
        };
        let event = match outcome {
            Outcome::Progress(progress) => Ok(GetEvent::Progress(progress)),
            Outcome::Ended(ended) => {
                self.over = true;
                let done = async {
                    ended?;
                    // Those who came later have another name for it.
                    self.host.record(&self.getting, None).await?;
                    let name = self.getting.name.clone();
                    self.host.done(name, true, self.begun).await
                };
                done.await.map(GetEvent::Done)
            }
        };
        Some(event.map(|event| GetResponse { event }))
    }
}

enum Outcome {
    Progress(Progress),
    Ended(Result<()>),
}

impl Images for ImageHost {
    async fn share(
        &self,
        name: String,
        file: String,
        format: ImageFormat,
        readers: Vec<String>,
    ) -> Result<Streaming<ShareResponse>> {
        let begun = Instant::now();
        valid::name(&name)?;
        valid::format(format)?;
        let readers = valid::readers(readers)?;
        let images = self.0.shelf.config().images.clone();
        let (path, file) =
            blocking(move || disk::find(&images, &file).map(|path| (path, file))).await??;
        let sharing = Sharing {
            name: name.clone(),
            file,
            path,
            format,
            readers,
        };
        let stamp = self.look_at(&sharing).await?;
        if self.is_shared(&sharing, &stamp)? {
            let event = ShareEvent::Done(self.done(name, false, begun).await?);
            return Ok(Streaming::new(stream::iter([Ok(ShareResponse { event })])));
        }
        let (said, events) = mpsc::channel(EVENTS_QUEUED);
        let host = self.clone();
        let task = tokio::spawn(async move {
            let _reading = host.0.shelf.reading();
            host.share_file(sharing, stamp, said).await
        });
        let sharing = (events, Some(Aborted(task)));
        Ok(Streaming::new(stream::unfold(
            sharing,
            |(mut events, task)| async move {
                let mut task = task?;
                // It says no more when it has ended.
                let (event, task) = match events.recv().await {
                    Some(event) => (Ok(event), Some(task)),
                    None => match (&mut task.0).await {
                        Ok(outcome) => (outcome.map(ShareEvent::Done), None),
                        Err(_) => (Err(Status::unavailable("the daemon is stopping")), None),
                    },
                };
                let item = event.map(|event| ShareResponse { event });
                Some((item, (events, task)))
            },
        )))
    }

    async fn get(
        &self,
        name: String,
        hash: String,
        format: ImageFormat,
        providers: Vec<Provider>,
    ) -> Result<Streaming<GetResponse>> {
        let begun = Instant::now();
        valid::name(&name)?;
        valid::format(format)?;
        let getting = Getting {
            name,
            hash: valid::hash(&hash)?,
            format,
            providers: valid::providers(providers)?,
        };
        if let Some(changed) = self.is_here(&getting).await? {
            let event = GetEvent::Done(self.done(getting.name, changed, begun).await?);
            return Ok(Streaming::new(stream::iter([Ok(GetResponse { event })])));
        }
        let job = self.job(&getting);
        let waiting = Waiting {
            host: self.clone(),
            getting,
            progress: job.view.progress.subscribe(),
            job,
            begun,
            over: false,
        };
        Ok(Streaming::new(stream::unfold(
            waiting,
            |mut waiting| async {
                let item = waiting.next().await?;
                Some((item, waiting))
            },
        )))
    }

    async fn describe(&self, name: String) -> Result<DescribeResponse> {
        valid::name(&name)?;
        let image = self.image(name).await?;
        Ok(DescribeResponse { image })
    }

    async fn list(&self, page: String) -> Result<ListResponse> {
        if !page.is_empty() {
            valid::name(&page)?;
        }
        let host = self.clone();
        blocking(move || {
            let shelf = &host.0.shelf;
            let known = shelf.records().known();
            let mut rest = known.names.range(page..);
            let used = shelf.used();
            let images = rest.by_ref().take(PAGE).map(|(name, record)| {
                shelf.view(name, record, known.blobs.get(&record.hash()), &used)
            });
            let images: VecDeque<Image> = images.collect();
            let next = rest.next().map(|(name, _)| name.clone());
            Ok(ListResponse {
                images: images.into(),
                next_page: next.unwrap_or_default(),
                cached_bytes: shelf.cached()?.iter().map(|it| it.bytes).sum(),
                max_cached_bytes: shelf.config().max_cached_bytes,
            })
        })
        .await?
    }

    async fn remove(&self, name: String, if_hash: String) -> Result<RemoveResponse> {
        valid::name(&name)?;
        let if_hash = match if_hash.as_str() {
            "" => None,
            hash => Some(valid::hash(hash)?),
        };
        let host = self.clone();
        // Whoever has asked for it may leave: what was begun is done.
        let removing = tokio::spawn(async move { host.remove_name(name, if_hash).await });
        removing
            .await
            .map_err(|_| Status::unavailable("the daemon is stopping"))?
    }

    async fn locate(
        &self,
        cx: &Context,
        hash: String,
        getting: Option<Provider>,
    ) -> Result<LocateResponse> {
        let hash = valid::hash(&hash)?;
        let key = cx.peer().key().copied().ok_or_else(|| {
            Status::permission_denied(format!(
                "{} has not proved who it is: images are given to keys, which iroh and mutual TLS prove",
                cx.peer()
            ))
        })?;
        let job = self.jobs().get(&hash).and_then(Weak::upgrade);
        let may = self.0.may.clone();
        let coming = job.is_some();
        let allowed = blocking(move || may.ask(&key, &hash, coming)).await?;
        let readers = allowed?;
        let now = Instant::now();
        let others = {
            let mut holders = self
                .0
                .holders
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if let Some(mut provider) = getting {
                // Nobody speaks for another.
                provider.key = hex(&key);
                valid::address(&provider)?;
                holders.heard(hash, key, provider, now);
            }
            holders.others(&hash, &key, now)
        };
        let known = self.0.shelf.records().known();
        let blob = known.blobs.get(&hash);
        let complete = blob.is_some_and(|blob| blob.here == Here::All);
        let here = job.and_then(|job| job.view.here()).filter(|_| !complete);
        Ok(LocateResponse {
            size_bytes: match &here {
                Some((pieces, _)) => pieces.size_bytes,
                None => blob.map_or(0, |blob| blob.size_bytes),
            },
            complete,
            piece_bytes: here.as_ref().map_or(0, |(pieces, _)| pieces.piece_bytes),
            pieces: here.map_or_else(Bytes::new, |(_, bits)| Bytes::copy_from_slice(bits.bytes())),
            readers,
            others,
        })
    }
}

/// Who may fetch what.
#[derive(Clone)]
struct May {
    shelf: Shelf,
}

impl May {
    /// Whether this key may fetch this. It looks at files.
    fn fetch(&self, key: &Word, hash: &Word) -> Result<()> {
        self.ask(key, hash, false).map(drop)
    }

    /// Whether this key may ask for this, and who alone may beside it. What is coming may be asked for before it is known.
    fn ask(&self, key: &Word, hash: &Word, coming: bool) -> Result<Vec<String>> {
        let denied = |why: &str| {
            Err(Status::permission_denied(format!(
                "the key {} may not fetch this image: {why}",
                hex(key)
            )))
        };
        let roles = self.shelf.config().may.as_ref();
        if roles.is_some_and(|may| !may(key)) {
            return denied("have the node give it the role for it");
        }
        let known = self.shelf.records().known();
        let mut lists = known.names_of(hash).map(|(_, record)| &record.readers);
        let text = hex(key);
        let allows =
            |list: &&Vec<String>| list.contains(&text) || list.is_empty() && roles.is_some();
        let list = lists.find(allows);
        let Some(list) = list else {
            return if known.names_of(hash).next().is_none() && roles.is_some() {
                if coming {
                    return Ok(Vec::new());
                }
                Err(Status::not_found(format!(
                    "there is no image {} here",
                    hex(hash)
                )))
            } else {
                denied("it is not among its readers")
            };
        };
        if let Some(blob) = known.blobs.get(hash) {
            match self.shelf.state_of(blob) {
                ImageState::Changed => {
                    return Err(Status::not_found(format!(
                        "the file of the image {} is not what was shared: have it shared again",
                        hex(hash)
                    )));
                }
                ImageState::Evicted if !coming => {
                    return Err(Status::not_found(format!(
                        "there is no image {} here any more",
                        hex(hash)
                    )));
                }
                _ => {}
            }
        }
        Ok(list.clone())
    }
}

/// Whether a name that is known leads elsewhere.
fn conflict(name: &str, record: &Name, hash: Option<&Word>, format: ImageFormat) -> Result<()> {
    if hash.is_some_and(|hash| record.hash() != *hash) {
        return Err(Status::already_exists(format!(
            "the name {name} leads to the content {}: remove it first, or use another name",
            hex(&record.hash())
        )));
    }
    if record.format != format {
        return Err(Status::already_exists(format!(
            "the image {name} is known as {:?}, and not as {format:?}: remove it first, or use another name",
            record.format
        )));
    }
    Ok(())
}

fn check_places(known: &Known) -> Result<()> {
    if known.names.len() >= MAX_IMAGES {
        return Err(Status::resource_exhausted(format!(
            "this node knows {MAX_IMAGES} images: remove one first"
        )));
    }
    Ok(())
}

/// Whether an image that begins so, and is so long, can be a disk of this format.
fn check_header(header: &[u8], size_bytes: u64, format: ImageFormat) -> Result<(), &'static str> {
    if size_bytes == 0 {
        return Err("is empty: a disk has content");
    }
    if size_bytes > MAX_IMAGE_BYTES {
        return Err("is longer than 16 TiB, which is the most");
    }
    match format {
        ImageFormat::Qcow2 => disk::header_of_qcow2(header).map(drop),
        _ => disk::header_of_raw(header),
    }
}

fn missing(name: &str) -> Status {
    Status::not_found(format!("there is no image {name}: get it, or share it"))
}

/// A task that ends with what it was for.
struct Aborted(tokio::task::JoinHandle<Result<Done>>);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for ImageHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageHost")
            .field("shelf", &self.0.shelf)
            .finish_non_exhaustive()
    }
}

/// So many images of the largest size fit a message.
const PAGE: usize = 200;
const EVENTS_QUEUED: usize = 4;
/// Longer than a tick of the clock that files are stamped by.
const TICK: Duration = Duration::from_millis(20);
