//! [`Records`]: the machines of a node, as all of its tasks see them. One task changes them: what it shows, and answers, is on disk.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};

use blixard_rpc::{Result, Status, Streaming};
use futures_util::stream;
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use super::{
    machine::Observation,
    messages::{Change, Migration, MigrationPhase, Vm, VmEvent, VmMoved, WatchResponse},
    record::{Arrived, Done, Record},
    store::{Changes, Loaded, Store},
};

/// How long the answer to a change with a request id is kept.
pub const REQUESTS_KEPT_FOR: Duration = Duration::from_secs(60 * 60);
/// The most request ids that are kept; beyond it the oldest are forgotten.
pub const MAX_REQUESTS_KEPT: usize = 10_000;
/// The most bytes of answers that are kept for them; beyond it the oldest are forgotten.
pub const MAX_REQUESTS_KEPT_BYTES: usize = 8 << 20;
/// The longest request id.
pub const MAX_REQUEST_ID_BYTES: usize = 64;
/// The most machines of a node.
pub const MAX_MACHINES: usize = 10_000;
/// So many machines may have come from nodes that have not said yet that they let go of them.
pub const MAX_ARRIVED: usize = 10_000;
/// So many of the last changes can be watched from.
pub const MAX_CHANGES_KEPT: usize = 4096;

/// A handle of the records; a clone is another of the same.
#[derive(Clone)]
pub(super) struct Records {
    edits: mpsc::Sender<Edit>,
    shared: Arc<Shared>,
    /// How much memory the machines may have together.
    memory_bytes: u64,
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records")
            .field("version", &self.shared.lock().version)
            .finish_non_exhaustive()
    }
}

/// A machine that somebody is to look after: what it is now, and whenever that changes; it ends with the machine.
pub(super) type Kept = watch::Receiver<Arc<Record>>;

struct Shared {
    published: Mutex<Published>,
    /// The version of the last change; it wakes those who watch.
    version: watch::Sender<u64>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Published> {
        self.published.lock().expect("no holder panics")
    }
}

struct Published {
    records: BTreeMap<String, watch::Sender<Arc<Record>>>,
    /// Changes in the order of their versions. There is a gap where a machine came from a node whose versions were ahead.
    changes: VecDeque<Seen>,
    /// The version after which all changes are known.
    known_after: u64,
    version: u64,
    /// Nothing changes any more.
    closed: bool,
}

#[derive(Clone)]
struct Seen {
    version: u64,
    what: What,
}

#[derive(Clone)]
enum What {
    Changed(Arc<Record>),
    Removed(String),
    Moved(VmMoved),
}

enum Edit {
    Make(Make, oneshot::Sender<Result<Answer>>),
    /// Close the file; the sender is dropped when that is done.
    Close(oneshot::Sender<()>),
}

type Make = Box<dyn FnOnce(&mut Draft<'_>) -> Result<Answer> + Send>;

/// A machine after a change, and whether there was one.
pub(super) type Answer = (Vm, bool);

impl Records {
    /// Opens the store, and begins. Machines that are there, and each that is created later, go to `kept`.
    pub(super) async fn open(
        path: std::path::PathBuf,
        memory_bytes: u64,
        kept: mpsc::UnboundedSender<Kept>,
    ) -> Result<Self> {
        let (store, loaded) = blocking(move || Store::open(&path)).await??;
        let (mut records, writer, edits) = Self::new(store, loaded, kept);
        records.memory_bytes = memory_bytes;
        tokio::spawn(writer.run(edits));
        Ok(records)
    }

    fn new(
        store: Store,
        loaded: Loaded,
        kept: mpsc::UnboundedSender<Kept>,
    ) -> (Self, Writer, mpsc::Receiver<Edit>) {
        let Loaded {
            records,
            done,
            arrived,
            version,
        } = loaded;
        let mut published = BTreeMap::new();
        for (name, record) in &records {
            let (sender, receiver) = watch::channel(Arc::new(record.clone()));
            // Nobody to look after them: the host is gone already.
            let _ = kept.send(receiver);
            published.insert(name.clone(), sender);
        }
        let shared = Arc::new(Shared {
            published: Mutex::new(Published {
                records: published,
                changes: VecDeque::new(),
                known_after: version,
                version,
                closed: false,
            }),
            version: watch::Sender::new(version),
        });
        let mut order: Vec<(SystemTime, String)> =
            done.iter().map(|(id, it)| (it.at, id.clone())).collect();
        order.sort();
        let done_bytes = done.values().map(size).sum();
        let writer = Writer {
            done_bytes,
            store: Some(store),
            records,
            done,
            arrived,
            done_order: order.into(),
            version,
            shared: Arc::clone(&shared),
            kept,
            doubtful: Doubtful::default(),
            closing: None,
        };
        let (edits, receiver) = mpsc::channel(EDITS_QUEUED);
        let records = Self {
            edits,
            shared,
            memory_bytes: u64::MAX,
        };
        (records, writer, receiver)
    }

    /// Makes a change that somebody asks for: once for its request id, and only at the version that it names.
    ///
    /// `edit` gets the machine, if there is one, and answers how it is to be, or `None` to leave it. What it refuses changes nothing.
    pub(super) async fn change(
        &self,
        name: &str,
        change: Change,
        asked: &str,
        edit: impl FnOnce(Option<&Record>, SystemTime) -> Result<Option<Record>> + Send + 'static,
    ) -> Result<Answer> {
        let Change {
            request_id,
            if_version,
        } = change;
        if request_id.len() > MAX_REQUEST_ID_BYTES {
            return Err(Status::invalid_argument(format!(
                "a request id has at most {MAX_REQUEST_ID_BYTES} bytes, and not {}: use a UUID",
                request_id.len()
            )));
        }
        let digest = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{name}\0{asked}").as_bytes());
        let name = name.to_owned();
        let memory_bytes = self.memory_bytes;
        self.edit(Box::new(move |draft| {
            let digest = digest.into_bytes();
            if let Some(done) = draft.done(&request_id).filter(|_| !request_id.is_empty()) {
                if done.digest != digest {
                    return Err(Status::invalid_argument(format!(
                        "the request id {request_id} was used for another change: use a new one for each"
                    )));
                }
                return Ok((done.vm.clone(), done.changed));
            }
            let record = draft.get(&name);
            if let (Some(wanted), Some(record)) = (if_version, &record)
                && wanted != record.version
            {
                return Err(Status::aborted(format!(
                    "{name} is at version {}, and not {wanted}: read it again",
                    record.version
                )));
            }
            let edited = edit(record.as_ref(), draft.now)?;
            if edited.is_some() && record.is_none() {
                if if_version.is_some() {
                    return Err(Status::aborted(format!(
                        "there is no machine {name}, at whatever version: create it without one"
                    )));
                }
                if draft.machines() >= MAX_MACHINES {
                    return Err(too_many());
                }
            }
            let begins = |edited: &&Record| {
                edited.needs_memory() && !record.as_ref().is_some_and(Record::needs_memory)
            };
            if let Some(edited) = edited.as_ref().filter(begins) {
                draft.has_memory(edited, memory_bytes)?;
            }
            let answer = match (edited, record) {
                (Some(edited), _) => (draft.put(edited), true),
                (None, Some(record)) => (record.view(), false),
                (None, None) => return Err(missing(&name)),
            };
            draft.remember(request_id, &digest, &answer);
            Ok(answer)
        }))
        .await
    }

    /// Records what was seen of a machine, however long it takes; nothing if it is gone or another meanwhile.
    pub(super) async fn observe(
        &self,
        of: &Record,
        edit: impl Fn(&mut Record, SystemTime) -> bool + Send + Sync + 'static,
    ) {
        let edit = Arc::new(edit);
        self.insist(of, move |draft, record| {
            let mut edited = record.clone();
            if edit(&mut edited, draft.now) {
                draft.put(edited);
            }
        })
        .await;
    }

    /// Removes the record of a machine, however long it takes.
    pub(super) async fn remove(&self, of: &Record) {
        self.insist(of, |draft, record| {
            draft.remove(record, What::Removed(record.name.clone()));
        })
        .await;
    }

    /// Removes the record of a machine that another node has now, however long it takes.
    pub(super) async fn moved(&self, of: &Record, moved: VmMoved) {
        self.insist(of, move |draft, record| {
            draft.remove(record, What::Moved(moved.clone()));
        })
        .await;
    }

    /// Records what was seen of a machine, or says why that cannot be.
    pub(super) async fn observe_once(
        &self,
        of: &Record,
        edit: impl FnOnce(&mut Record, SystemTime) -> bool + Send + 'static,
    ) -> Result<()> {
        let (name, uuid) = (of.name.clone(), of.uuid.clone());
        let made = self.edit(Box::new(move |draft| match draft.get(&name) {
            Some(mut record) if record.uuid == uuid => {
                let changed = edit(&mut record, draft.now);
                if changed {
                    draft.put(record.clone());
                }
                Ok((record.view(), changed))
            }
            _ => Err(missing(&name)),
        }));
        made.await.map(drop)
    }

    /// Keeps a place for a machine that another node is about to send.
    pub(super) async fn receive(&self, sent: Record, migration: Migration) -> Result<()> {
        let memory_bytes = self.memory_bytes;
        let made = self.edit(Box::new(move |draft| {
            if let Some(known) = draft.get(&sent.name) {
                return Err(Status::already_exists(format!(
                    "there is a machine {} there already, {}: delete it first, if it is not needed",
                    sent.name, known.uuid
                )));
            }
            if let Some(known) = draft.all().find(|known| known.uuid == sent.uuid) {
                return Err(Status::already_exists(format!(
                    "that machine is there already, as {}",
                    known.name
                )));
            }
            if draft.machines() >= MAX_MACHINES {
                return Err(too_many());
            }
            if draft.arrived.len() >= MAX_ARRIVED {
                return Err(Status::resource_exhausted(format!(
                    "{MAX_ARRIVED} machines came to that node of which the nodes before have not said that they let go: bring those back"
                )));
            }
            let record = Record::receiving(sent, migration, draft.now);
            if record.needs_memory() {
                draft.has_memory(&record, memory_bytes)?;
            }
            draft.pass(record.version);
            Ok((draft.put(record), true))
        }));
        made.await.map(drop)
    }

    /// The machine that was received is this node's, as it was sent last.
    pub(super) async fn received(
        &self,
        of: &Record,
        sent: Record,
        migration: String,
    ) -> Result<()> {
        let (name, uuid) = (of.name.clone(), of.uuid.clone());
        let made = self.edit(Box::new(move |draft| {
            let known = draft.get(&name).filter(|known| {
                let under_way = known.life.migration.as_ref();
                known.uuid == uuid && under_way.is_some_and(|it| it.id == migration)
            });
            let now = draft.now;
            let version = sent.version;
            let received = known.and_then(|known| known.received(sent, now));
            let record = received.ok_or_else(|| {
                Status::aborted("the migration is over: the machine is still the other node's")
            })?;
            draft.pass(version);
            let arrived = Arrived {
                name,
                uuid,
                at: now,
            };
            draft.changes.arrived.insert(migration, Some(arrived));
            Ok((draft.put(record), true))
        }));
        made.await.map(drop)
    }

    /// Ends a migration to this node, and answers whether it has the machine.
    pub(super) async fn end_migration(
        &self,
        name: String,
        migration: String,
        from: String,
        forget: bool,
    ) -> Result<bool> {
        let (tell, mut told) = oneshot::channel();
        let made = self.edit(Box::new(move |draft| {
            let has_it = draft.has_arrived(&migration);
            // Who waits for it is gone if this cannot be sent.
            let _ = tell.send(has_it);
            if has_it && forget {
                draft.changes.arrived.insert(migration, None);
                // This is kept all the same; there is no machine to answer with.
                return Err(missing(&name));
            }
            let known = draft.get(&name).filter(|_| !has_it);
            let Some(mut record) = known else {
                return Err(missing(&name));
            };
            let under_way = record.life.migration.as_ref();
            let under_way = under_way.filter(|it| it.id == migration);
            let ends = under_way.is_some_and(|it| it.phase == MigrationPhase::Receiving);
            if ends && under_way.is_some_and(|it| it.node != from) {
                return Err(Status::permission_denied(format!(
                    "another node sends {name}, and alone may end that"
                )));
            }
            let now = draft.now;
            let why = "the node that sent it has ended the migration".to_owned();
            if ends
                && record
                    .life
                    .observe(Observation::NotReceived(why), None, now)
            {
                return Ok((draft.put(record), true));
            }
            Err(missing(&name))
        }));
        match made.await {
            Err(status) if status.code() != blixard_rpc::Code::NotFound => Err(status),
            _ => told.try_recv().map_err(|_| stopped()),
        }
    }

    async fn insist(
        &self,
        of: &Record,
        edit: impl Fn(&mut Draft<'_>, &Record) + Clone + Send + 'static,
    ) {
        loop {
            let (name, uuid, edit) = (of.name.clone(), of.uuid.clone(), edit.clone());
            let made = self
                .edit(Box::new(move |draft| match draft.get(&name) {
                    Some(record) if record.uuid == uuid => {
                        edit(draft, &record);
                        Ok((record.view(), true))
                    }
                    _ => Err(missing(&name)),
                }))
                .await;
            match made {
                Err(status) if status.code() != blixard_rpc::Code::NotFound => {
                    tracing::warn!(machine = %of.name, %status, "what was seen of a machine cannot be recorded yet");
                    tokio::time::sleep(RETRY).await;
                }
                _ => return,
            }
        }
    }

    async fn edit(&self, make: Make) -> Result<Answer> {
        let (answer, answered) = oneshot::channel();
        let edit = Edit::Make(make, answer);
        self.edits.send(edit).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }

    /// Makes no more changes; returns when the last one is on disk, and the file is closed.
    pub(super) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.edits.send(Edit::Close(done)).await.is_ok() {
            // It is dropped when the file is closed.
            let _ = closed.await;
        }
    }

    /// A machine as it is.
    pub(super) fn get(&self, name: &str) -> Result<Arc<Record>> {
        let published = self.shared.lock();
        let record = published.records.get(name).ok_or_else(|| missing(name))?;
        Ok(Arc::clone(&record.borrow()))
    }

    /// All machines, as they are.
    pub(super) fn all(&self) -> Vec<Arc<Record>> {
        let published = self.shared.lock();
        let records = published.records.values();
        records.map(|it| Arc::clone(&it.borrow())).collect()
    }

    /// Machines from this name on, at most so many, the name after them, and the version that they are of.
    pub(super) fn list(&self, from: &str, limit: usize) -> (Vec<Vm>, String, u64) {
        let published = self.shared.lock();
        let mut rest = published.records.range(from.to_owned()..);
        let page = rest.by_ref().take(limit).map(|(_, it)| it.borrow().view());
        let page = page.collect();
        let next = rest.next().map(|(name, _)| name.clone());
        (page, next.unwrap_or_default(), published.version)
    }

    /// All machines and then every change, or the changes from a version on.
    pub(super) fn watch(&self, from: Option<u64>) -> Result<Streaming<WatchResponse>> {
        let mut ready = VecDeque::new();
        let mut at = 0;
        {
            let published = self.shared.lock();
            match from {
                None => {
                    at = published.version;
                    let items = published.records.values().map(|record| {
                        // These come by name: whoever has not read them all begins again.
                        (0, Item::Seen(What::Changed(Arc::clone(&record.borrow()))))
                    });
                    ready.extend(items);
                    ready.push_back((at, Item::Synced));
                }
                Some(from) => {
                    at = from.max(at);
                    published.check(at)?;
                }
            }
        }
        let watching = Watching {
            shared: Arc::clone(&self.shared),
            changed: self.shared.version.subscribe(),
            ready,
            at,
            over: false,
        };
        Ok(Streaming::new(stream::unfold(
            watching,
            |mut watching| async {
                let item = watching.next().await?;
                Some((item, watching))
            },
        )))
    }
}

enum Item {
    Seen(What),
    Synced,
}

struct Watching {
    shared: Arc<Shared>,
    changed: watch::Receiver<u64>,
    ready: VecDeque<(u64, Item)>,
    /// The version that was read up to.
    at: u64,
    over: bool,
}

impl Watching {
    async fn next(&mut self) -> Option<Result<WatchResponse>> {
        loop {
            if let Some((version, item)) = self.ready.pop_front() {
                let event = match item {
                    Item::Seen(What::Changed(record)) => VmEvent::Changed(Box::new(record.view())),
                    Item::Seen(What::Removed(name)) => VmEvent::Removed(name),
                    Item::Seen(What::Moved(moved)) => VmEvent::Moved(moved),
                    Item::Synced => VmEvent::Synced,
                };
                return Some(Ok(WatchResponse { version, event }));
            }
            if self.over {
                return None;
            }
            // What comes from here on wakes it.
            self.changed.borrow_and_update();
            let read = self.shared.lock().read(self.at);
            match read {
                Ok(seen) if !seen.is_empty() => {
                    self.at = seen[seen.len() - 1].version;
                    self.ready = seen
                        .into_iter()
                        .map(|seen| (seen.version, Item::Seen(seen.what)))
                        .collect();
                    continue;
                }
                Ok(_) => {}
                Err(status) => {
                    self.over = true;
                    return Some(Err(status));
                }
            }
            // The sender is in what this holds, so that it does not go.
            let _ = self.changed.changed().await;
        }
    }
}

impl Published {
    /// Whether the changes after this version are known.
    fn check(&self, version: u64) -> Result<()> {
        if version < self.known_after {
            return Err(Status::out_of_range(format!(
                "changes are known from version {} on, and not from {version}: watch again without a version, which lists what there is",
                self.known_after
            )));
        }
        if version > self.version {
            return Err(Status::out_of_range(format!(
                "the last version is {}, and {version} is of other records: watch again without a version, which lists what there is",
                self.version
            )));
        }
        Ok(())
    }

    fn read(&self, after: u64) -> Result<Vec<Seen>> {
        self.check(after)?;
        let first = self.changes.partition_point(|seen| seen.version <= after);
        let rest = self.changes.iter().skip(first).take(READ);
        let seen: Vec<Seen> = rest.cloned().collect();
        // What is known is read to its end.
        if seen.is_empty() && self.closed {
            return Err(stopped());
        }
        Ok(seen)
    }
}

/// The task that changes the records.
struct Writer {
    /// Away while it commits.
    store: Option<Store>,
    records: BTreeMap<String, Record>,
    done: BTreeMap<String, Done>,
    /// What came from other nodes, by migration.
    arrived: BTreeMap<String, Arrived>,
    /// What these take.
    done_bytes: usize,
    /// By age.
    done_order: VecDeque<(SystemTime, String)>,
    version: u64,
    shared: Arc<Shared>,
    kept: mpsc::UnboundedSender<Kept>,
    /// What a commit that failed may have left on disk all the same: the next one says how it is.
    doubtful: Doubtful,
    /// Who waits for the file to be closed.
    closing: Option<oneshot::Sender<()>>,
}

/// Names of machines, request ids, and migrations.
#[derive(Default)]
struct Doubtful {
    records: BTreeSet<String>,
    done: BTreeSet<String>,
    arrived: BTreeSet<String>,
}

impl Writer {
    async fn run(mut self, edits: mpsc::Receiver<Edit>) {
        self.write(edits).await;
        self.shared.lock().closed = true;
        self.shared.version.send_modify(|_| {});
        let store = self.store.take();
        // It is closed here whatever becomes of the answer.
        let _ = blocking(move || drop(store)).await;
    }

    /// Until somebody closes it, or nobody is there any more to do so.
    async fn write(&mut self, mut edits: mpsc::Receiver<Edit>) {
        let mut batch = Vec::new();
        while edits.recv_many(&mut batch, BATCH).await > 0 {
            let mut close = None;
            let mut makes = Vec::with_capacity(batch.len());
            for edit in batch.drain(..) {
                match edit {
                    Edit::Make(make, answer) => makes.push((make, answer)),
                    Edit::Close(done) => close = Some(done),
                }
            }
            self.make(makes).await;
            if close.is_some() {
                // The answers to what comes too late are dropped with it.
                self.closing = close;
                return;
            }
        }
    }

    /// Makes some edits by one commit; edits that came while the last one was written share the next.
    async fn make(&mut self, edits: Vec<(Make, oneshot::Sender<Result<Answer>>)>) {
        let mut draft = Draft {
            records: &self.records,
            done: &self.done,
            arrived: &self.arrived,
            changes: Changes {
                version: self.version,
                ..Changes::default()
            },
            seen: Vec::new(),
            now: SystemTime::now(),
        };
        let mut answers = Vec::new();
        for (make, waits) in edits {
            let answer = make(&mut draft);
            answers.push((waits, answer));
        }
        let Draft {
            mut changes,
            seen,
            now,
            ..
        } = draft;
        if changes.records.is_empty() && changes.done.is_empty() && changes.arrived.is_empty() {
            for (waits, answer) in answers {
                // Who does not wait any more needs no answer; so below.
                let _ = waits.send(answer);
            }
            return;
        }
        self.forget(&mut changes, now);
        for name in &self.doubtful.records {
            let as_it_is = || self.records.get(name).cloned();
            changes.records.entry(name.clone()).or_insert_with(as_it_is);
        }
        for id in &self.doubtful.done {
            let as_it_is = || self.done.get(id).cloned();
            changes.done.entry(id.clone()).or_insert_with(as_it_is);
        }
        for id in &self.doubtful.arrived {
            let as_it_is = || self.arrived.get(id).cloned();
            changes.arrived.entry(id.clone()).or_insert_with(as_it_is);
        }
        let Some(mut store) = self.store.take() else {
            return;
        };
        let committed = blocking(move || {
            let committed = store.commit(&changes);
            (store, changes, committed)
        })
        .await;
        let Ok((store, changes, committed)) = committed else {
            return;
        };
        self.store = Some(store);
        if let Err(status) = committed {
            self.doubtful.records.extend(changes.records.into_keys());
            self.doubtful.done.extend(changes.done.into_keys());
            self.doubtful.arrived.extend(changes.arrived.into_keys());
            for (waits, answer) in answers {
                let _ = waits.send(answer.and_then(|_| Err(status.clone())));
            }
            return;
        }
        self.doubtful = Doubtful::default();
        self.publish(changes, seen);
        for (waits, answer) in answers {
            let _ = waits.send(answer);
        }
    }

    /// Forgets the request ids that are too old or too many.
    fn forget(&self, changes: &mut Changes, now: SystemTime) {
        let new = changes.done.len();
        let new_bytes: usize = changes.done.values().flatten().map(size).sum();
        let mut bytes = self.done_bytes + new_bytes;
        for (index, (at, id)) in self.done_order.iter().enumerate() {
            let too_old = now.duration_since(*at).unwrap_or_default() > REQUESTS_KEPT_FOR;
            let fit = self.done_order.len() - index + new <= MAX_REQUESTS_KEPT
                && bytes <= MAX_REQUESTS_KEPT_BYTES;
            if !too_old && fit {
                break;
            }
            bytes -= self.done.get(id).map_or(0, size);
            changes.done.entry(id.clone()).or_insert(None);
        }
    }

    fn publish(&mut self, changes: Changes, seen: Vec<Seen>) {
        self.version = changes.version;
        for (id, done) in changes.done {
            match done {
                Some(done) => {
                    let at = done.at;
                    self.done_bytes += size(&done);
                    match self.done.insert(id.clone(), done) {
                        Some(before) => self.done_bytes -= size(&before),
                        None => self.done_order.push_back((at, id)),
                    }
                }
                None => {
                    let before = self.done.remove(&id);
                    self.done_bytes -= before.as_ref().map_or(0, size);
                }
            }
        }
        while let Some((at, id)) = self.done_order.front() {
            if self.done.get(id).is_some_and(|done| done.at == *at) {
                break;
            }
            self.done_order.pop_front();
        }
        for (id, arrived) in changes.arrived {
            match arrived {
                Some(arrived) => self.arrived.insert(id, arrived),
                None => self.arrived.remove(&id),
            };
        }
        for (name, record) in changes.records {
            match record {
                Some(record) => self.records.insert(name, record),
                None => self.records.remove(&name),
            };
        }
        {
            let mut published = self.shared.lock();
            for seen in seen {
                match &seen.what {
                    What::Changed(record) => match published.records.get(&record.name) {
                        Some(sender) => {
                            sender.send_replace(Arc::clone(record));
                        }
                        None => {
                            let (sender, receiver) = watch::channel(Arc::clone(record));
                            let _ = self.kept.send(receiver);
                            published.records.insert(record.name.clone(), sender);
                        }
                    },
                    What::Removed(name) | What::Moved(VmMoved { name, .. }) => {
                        published.records.remove(name);
                    }
                }
                published.changes.push_back(seen);
            }
            while published.changes.len() > MAX_CHANGES_KEPT {
                if let Some(oldest) = published.changes.pop_front() {
                    published.known_after = oldest.version;
                }
            }
            published.version = self.version;
        }
        self.shared.version.send_replace(self.version);
    }
}

/// The records as they will be, if the commit succeeds.
struct Draft<'a> {
    records: &'a BTreeMap<String, Record>,
    done: &'a BTreeMap<String, Done>,
    arrived: &'a BTreeMap<String, Arrived>,
    changes: Changes,
    seen: Vec<Seen>,
    now: SystemTime,
}

impl Draft<'_> {
    fn get(&self, name: &str) -> Option<Record> {
        match self.changes.records.get(name) {
            Some(edited) => edited.clone(),
            None => self.records.get(name).cloned(),
        }
    }

    /// How many machines there are.
    fn machines(&self) -> usize {
        let mut machines = self.records.len();
        for (name, edited) in &self.changes.records {
            match (self.records.contains_key(name), edited) {
                (false, Some(_)) => machines += 1,
                (true, None) => machines -= 1,
                _ => {}
            }
        }
        machines
    }

    fn done(&self, id: &str) -> Option<&Done> {
        match self.changes.done.get(id) {
            Some(edited) => edited.as_ref(),
            None => self.done.get(id),
        }
    }

    /// Takes the machine as it is to be, and each step that follows by itself; answers how it is then.
    fn put(&mut self, mut record: Record) -> Vm {
        loop {
            record.tidy();
            self.changes.version += 1;
            record.version = self.changes.version;
            self.seen.push(Seen {
                version: record.version,
                what: What::Changed(Arc::new(record.clone())),
            });
            let mut next = record.clone();
            if !next.life.settle(self.now) {
                break;
            }
            record = next;
        }
        let vm = record.view();
        self.changes
            .records
            .insert(record.name.clone(), Some(record));
        vm
    }

    fn remove(&mut self, record: &Record, what: What) {
        self.changes.version += 1;
        self.seen.push(Seen {
            version: self.changes.version,
            what,
        });
        self.changes.records.insert(record.name.clone(), None);
    }

    /// From here on versions are greater than this one.
    fn pass(&mut self, version: u64) {
        self.changes.version = self.changes.version.max(version);
    }

    fn has_arrived(&self, migration: &str) -> bool {
        match self.changes.arrived.get(migration) {
            Some(edited) => edited.is_some(),
            None => self.arrived.contains_key(migration),
        }
    }

    /// Whether there is memory for one more machine.
    fn has_memory(&self, record: &Record, limit: u64) -> Result<()> {
        let others = self.all().filter(|other| other.name != record.name);
        let others = others.filter(|other| other.needs_memory());
        let taken: u64 = others.map(|other| other.spec.memory_bytes).sum();
        let wanted = record.spec.memory_bytes;
        if taken.saturating_add(wanted) <= limit {
            return Ok(());
        }
        Err(Status::resource_exhausted(format!(
            "{} needs {} MiB of memory, and of the {} MiB that the machines of that node may have together {} are taken: stop or move another, or allow them more",
            record.name,
            wanted >> 20,
            limit >> 20,
            taken >> 20
        )))
    }

    /// All machines as they will be.
    fn all(&self) -> impl Iterator<Item = &Record> {
        let edited = self.changes.records.values().flatten();
        let rest = self.records.iter();
        let rest = rest.filter(|(name, _)| !self.changes.records.contains_key(*name));
        edited.chain(rest.map(|(_, record)| record))
    }

    fn remember(&mut self, id: String, digest: &[u8], (vm, changed): &Answer) {
        if id.is_empty() {
            return;
        }
        let done = Done {
            digest: digest.to_vec(),
            at: self.now,
            vm: vm.clone(),
            changed: *changed,
        };
        self.changes.done.insert(id, Some(done));
    }
}

fn stopped() -> Status {
    Status::unavailable("the node's machines are being shut down")
}

/// How many bytes an answer takes on disk, and about as many in memory.
fn size(done: &Done) -> usize {
    crate::kept::encode(done).map_or(0, |bytes| bytes.len())
}

fn too_many() -> Status {
    Status::resource_exhausted(format!(
        "that node has {MAX_MACHINES} machines: delete one first"
    ))
}

pub(super) fn missing(name: &str) -> Status {
    Status::not_found(format!("this node has no machine {name}"))
}

/// Runs what blocks beside the tasks.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Status::internal("work beside the tasks did not end").with_source(error))
}

const EDITS_QUEUED: usize = 256;
/// So many edits share a commit at most.
const BATCH: usize = 64;
/// So many changes are read at a time by those who watch.
const READ: usize = 64;
const RETRY: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::PathBuf,
        sync::atomic::{AtomicU32, Ordering},
    };

    use blixard_rpc::Code;

    use super::{super::messages::VmSpec, *};

    /// A file of the test's own.
    struct File(PathBuf);

    impl File {
        fn new() -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("blixard-records-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            let _ = fs::remove_file(&path);
            Self(path)
        }

        async fn open(&self) -> Records {
            let kept = mpsc::unbounded_channel().0;
            Records::open(self.0.clone(), u64::MAX, kept).await.unwrap()
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    async fn create(records: &Records, name: &str, change: Change) -> Result<Answer> {
        let named = name.to_owned();
        let make = move |record: Option<&Record>, now| {
            let new = Record::new(named, VmSpec::default(), now);
            Ok(record.is_none().then_some(new))
        };
        records.change(name, change, "create", make).await
    }

    fn names(records: &Records) -> Vec<String> {
        let (vms, ..) = records.list("", 100);
        vms.into_iter().map(|vm| vm.name).collect()
    }

    /// The disk may have what it could not say that it has: what was refused must not come back.
    #[tokio::test]
    async fn what_was_refused_is_not_there_after_the_next_commit() {
        let file = File::new();
        let (mut store, loaded) = Store::open(&file.0).unwrap();
        store.in_doubt = true;
        let (records, writer, edits) = Records::new(store, loaded, mpsc::unbounded_channel().0);
        let writer = tokio::spawn(writer.run(edits));
        let refused = create(&records, "ghost", Change::id("1")).await;
        assert_eq!(refused.unwrap_err().code(), Code::Unavailable);
        assert_eq!(names(&records), [""; 0]);
        create(&records, "a", Change::id("2")).await.unwrap();
        records.close().await;
        writer.await.unwrap();

        let records = file.open().await;
        assert_eq!(names(&records), ["a"]);
        // And so may be asked for again.
        let (_, changed) = create(&records, "ghost", Change::id("1")).await.unwrap();
        assert!(changed);
        records.close().await;
    }

    /// Answers may be long: it is their bytes that count, and the oldest go first.
    #[tokio::test]
    async fn what_is_remembered_of_requests_is_bounded() {
        let file = File::new();
        let records = file.open().await;
        let long = 256 << 10;
        let spec = VmSpec {
            kernel: Some(crate::vm::KernelBoot {
                command_line: "x".repeat(long),
                ..Default::default()
            }),
            ..VmSpec::default()
        };
        let all = MAX_REQUESTS_KEPT_BYTES / long + 8;
        for number in 0..all {
            let (name, spec) = (format!("m{number}"), spec.clone());
            let make = move |record: Option<&Record>, now| {
                let new = Record::new(name, spec, now);
                Ok(record.is_none().then_some(new))
            };
            let change = Change::id(format!("{number}"));
            let name = format!("m{number}");
            let made = records.change(&name, change, "create", make).await;
            assert!(made.unwrap().1);
        }
        records.close().await;
        let (_, loaded) = Store::open(&file.0).unwrap();
        let bytes: usize = loaded.done.values().map(size).sum();
        assert!(bytes <= MAX_REQUESTS_KEPT_BYTES, "{bytes}");
        assert!(bytes > MAX_REQUESTS_KEPT_BYTES - 2 * long, "{bytes}");
        assert!(!loaded.done.contains_key("0"));
        assert!(loaded.done.contains_key(&format!("{}", all - 1)));
    }

    #[tokio::test]
    async fn who_watches_learns_that_it_is_over() {
        let file = File::new();
        let records = file.open().await;
        let mut events = records.watch(None).unwrap();
        create(&records, "a", Change::default()).await.unwrap();
        records.close().await;
        let mut last = None;
        while let Some(item) = events.next().await {
            last = Some(item);
        }
        let status = last.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        let late = create(&records, "b", Change::default()).await;
        assert_eq!(late.unwrap_err().code(), Code::Unavailable);
    }

    #[tokio::test]
    async fn what_is_not_there_has_no_version() {
        let file = File::new();
        let records = file.open().await;
        let refused = create(&records, "a", Change::default().if_version(1)).await;
        assert_eq!(refused.unwrap_err().code(), Code::Aborted);
        assert_eq!(names(&records), [""; 0]);
        records.close().await;
    }
}
