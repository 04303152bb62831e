//! [`Inbound`]: what comes from other members, checked, and given to the engine.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use blixard_rpc::{Context, Peer as Caller, Result, Status, Streaming};
use blixard_services::raft::{
    MessageBatch, MessageReceipt, Raft, RaftMessage, RaftRequest, SnapshotBegin, SnapshotPart,
    SnapshotProgress,
};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::{
    arrival::{Arrived, Upload},
    class::Class,
    counts::Refused,
    engine::{Ask, Engine},
    insecure,
    pack::{Packed, Unpacked},
    shared::{PeerState, Shared, lock},
};

/// What comes from other members, checked, and given to the engine: the implementation of the Raft service, which
/// [`Transport::server`](crate::Transport::server) makes.
pub struct Inbound<E> {
    shared: Arc<Shared>,
    engine: Arc<E>,
}

impl<E: Engine> Inbound<E> {
    pub(crate) const fn new(shared: Arc<Shared>, engine: Arc<E>) -> Self {
        Self { shared, engine }
    }

    /// The member that calls, by what its transport has proved.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` if nothing is proved, `PERMISSION_DENIED` if it is no member.
    fn sender(&self, cx: &Context) -> Result<Arc<PeerState>> {
        let caller = cx.peer();
        let is_unproven = matches!(
            caller,
            Caller::Memory | Caller::Address(_) | Caller::Unknown
        );
        let shared = &self.shared;
        let sender = if is_unproven && shared.config.insecure {
            let word = cx.metadata().get(insecure::SENDER);
            word.and_then(|word| shared.peer(word.parse().ok()?))
        } else if is_unproven {
            return Err(shared.refuse(
                Refused::Unproven,
                caller,
                Status::unauthenticated(format!(
                    "{caller} has proved nothing of who it is: call over iroh, or over gRPC with mutual TLS"
                )),
            ));
        } else {
            shared.identify(caller)
        };
        let Some(sender) = sender else {
            return Err(shared.refuse(
                Refused::Stranger,
                caller,
                Status::permission_denied(format!(
                    "{caller} is no member of the cluster of member {}",
                    shared.config.id
                )),
            ));
        };
        Ok(sender)
    }

    /// The member that calls with something for this cluster and member.
    fn sender_of(&self, cx: &Context, cluster: &str, target: u64) -> Result<Arc<PeerState>> {
        let sender = self.sender(cx)?;
        self.shared.check(cx.peer(), cluster, target)?;
        sender.heard(&self.shared);
        Ok(sender)
    }

    async fn ask(&self, cx: &Context, ask: Ask, request: RaftRequest) -> Result<RaftMessage> {
        let sender = self.sender_of(cx, &request.cluster, request.target)?;
        let counts = &sender.class(ask.class()).counts;
        counts.received(1, request.payload.len());
        let request = RaftMessage {
            term: request.term,
            payload: request.payload,
        };
        self.engine.ask(sender.id(), ask, request).await
    }

    /// A stream of batches that a member has opened.
    fn arrival(&self, cx: &Context, class: Class) -> Result<Arrival> {
        let sender = self.sender(cx)?;
        let number = sender.class(class).arrived.fetch_add(1, Ordering::AcqRel) + 1;
        Ok(Arrival {
            shared: Arc::clone(&self.shared),
            version: self.shared.version(),
            caller: cx.peer().clone(),
            sender,
            class,
            number,
            is_heard: false,
        })
    }

    fn messages(
        &self,
        cx: &Context,
        class: Class,
        batches: Streaming<MessageBatch>,
    ) -> Result<Streaming<MessageReceipt>> {
        let delivering = Delivering {
            arrival: self.arrival(cx, class)?,
            engine: Arc::clone(&self.engine),
            batches,
            end: None,
        };
        let receipts = stream::unfold(Some(delivering), |delivering| async move {
            let mut delivering = delivering?;
            let receipt = delivering.next().await?;
            let goes_on = receipt.is_ok();
            Some((receipt, goes_on.then_some(delivering)))
        });
        Ok(Streaming::new(receipts))
    }
}

/// A stream of messages on its way to the engine.
struct Delivering<E> {
    arrival: Arrival,
    engine: Arc<E>,
    batches: Streaming<MessageBatch>,
    /// What has come in place of a batch, when there was a receipt to be sent first.
    end: Option<Option<Status>>,
}

impl<E: Engine> Delivering<E> {
    /// Gives the engine the next batch, and some more that are there already; the receipt of all of them. One for each would cost as much
    /// as a batch does.
    async fn next(&mut self) -> Option<Result<MessageReceipt>> {
        if let Some(end) = self.end.take() {
            return end.map(Err);
        }
        let mut receipt = match self.batches.next().await? {
            Ok(batch) => self.arrival.deliver(&*self.engine, batch).await,
            Err(status) => Err(status),
        };
        let began = Instant::now();
        for _ in 1..BATCHES_PER_RECEIPT {
            if receipt.is_err() || began.elapsed() > RECEIPT_DELAY {
                break;
            }
            match self.batches.next().now_or_never() {
                Some(Some(Ok(batch))) => {
                    receipt = self.arrival.deliver(&*self.engine, batch).await;
                }
                Some(end) => {
                    self.end = Some(end.and_then(Result::err));
                    break;
                }
                None => break,
            }
        }
        Some(receipt)
    }
}

/// How many batches are acknowledged together: a fifth of what may be under way, so that the sender need not wait.
const BATCHES_PER_RECEIPT: usize = 8;

/// An engine that takes longer than this for a batch has it acknowledged alone.
const RECEIPT_DELAY: Duration = Duration::from_millis(1);

/// A stream of batches from a member: what each batch must be before the engine sees it.
struct Arrival {
    shared: Arc<Shared>,
    /// As of when the sender is known to be a member.
    version: u64,
    caller: Caller,
    sender: Arc<PeerState>,
    class: Class,
    number: u64,
    is_heard: bool,
}

impl Arrival {
    /// # Errors
    /// What comes is not for this engine, or not from a member any more, or there is a newer stream.
    fn check(&mut self, batch: &MessageBatch) -> Result<()> {
        self.shared
            .check(&self.caller, &batch.cluster, batch.target)?;
        let version = self.shared.version();
        if version != self.version {
            let is_member = self
                .shared
                .peer(self.sender.id())
                .is_some_and(|known| Arc::ptr_eq(&known, &self.sender));
            if !is_member {
                return Err(Status::unavailable(
                    "the members have changed: open another stream",
                ));
            }
            self.version = version;
        }
        self.check_turn()?;
        if !self.is_heard {
            self.is_heard = true;
            self.sender.heard(&self.shared);
        }
        let bytes = batch.messages.iter().map(|message| message.payload.len());
        let counts = &self.sender.class(self.class).counts;
        counts.received(batch.messages.len(), bytes.sum());
        Ok(())
    }

    /// # Errors
    /// There is a newer stream, and what comes on this one must not come after that.
    fn check_turn(&self) -> Result<()> {
        let newest = self
            .sender
            .class(self.class)
            .arrived
            .load(Ordering::Acquire);
        if newest == self.number {
            return Ok(());
        }
        Err(Status::aborted("a newer stream has taken its place"))
    }

    async fn deliver(
        &mut self,
        engine: &impl Engine,
        batch: MessageBatch,
    ) -> Result<MessageReceipt> {
        self.check(&batch)?;
        // Held while the engine takes a batch, which is the point of it: streams take turns. It is of one member and class alone.
        let _turn = self.sender.class(self.class).turn.lock().await;
        self.check_turn()?;
        engine
            .deliver(self.sender.id(), self.class, batch.messages)
            .await?;
        Ok(MessageReceipt {
            sequence: batch.sequence,
            messages: Vec::new(),
        })
    }
}

impl Shared {
    /// # Errors
    /// It is for another cluster, or for another member.
    fn check(&self, caller: &Caller, cluster: &str, target: u64) -> Result<()> {
        if cluster != self.config.cluster {
            return Err(self.refuse(
                Refused::Foreign,
                caller,
                Status::permission_denied(format!(
                    "member {} belongs to another cluster than {cluster:?}",
                    self.config.id
                )),
            ));
        }
        if target != self.config.id {
            return Err(self.refuse(
                Refused::Misdirected,
                caller,
                Status::failed_precondition(format!(
                    "this is member {}, and not member {target}",
                    self.config.id
                )),
            ));
        }
        Ok(())
    }

    fn refuse(&self, reason: Refused, caller: &Caller, status: Status) -> Status {
        self.refused.of(reason).add(1);
        tracing::debug!(%caller, reason = reason.name(), %status, "refused");
        status
    }
}

impl<E: Engine> Raft for Inbound<E> {
    async fn vote(&self, cx: &Context, request: RaftRequest) -> Result<RaftMessage> {
        self.ask(cx, Ask::Vote, request).await
    }

    async fn pre_vote(&self, cx: &Context, request: RaftRequest) -> Result<RaftMessage> {
        self.ask(cx, Ask::PreVote, request).await
    }

    async fn transfer_leader(&self, cx: &Context, request: RaftRequest) -> Result<RaftMessage> {
        self.ask(cx, Ask::TransferLeader, request).await
    }

    async fn heartbeat(&self, cx: &Context, request: RaftRequest) -> Result<RaftMessage> {
        self.ask(cx, Ask::Heartbeat, request).await
    }

    async fn append(
        &self,
        cx: &Context,
        batches: Streaming<MessageBatch>,
    ) -> Result<Streaming<MessageReceipt>> {
        let mut arrival = self.arrival(cx, Class::LogAppend)?;
        let from = arrival.sender.id();
        let requests = Unpacked::new(batches, move |batch: MessageBatch| {
            arrival.check(&batch)?;
            Ok(batch.messages)
        });
        let responses = self.engine.append(from, Streaming::new(requests)).await?;
        let receipts = Packed::new(responses).map(|messages| {
            Ok(MessageReceipt {
                sequence: 0,
                messages: messages?,
            })
        });
        Ok(Streaming::new(receipts))
    }

    async fn snapshot(
        &self,
        cx: &Context,
        mut parts: Streaming<SnapshotPart>,
    ) -> Result<Streaming<SnapshotProgress>> {
        let idle = self.shared.config.snapshot.idle_timeout;
        // Whoever has proved nothing is not waited for.
        self.sender(cx)?;
        let begin = match timeout(idle, parts.next()).await {
            Ok(Some(Ok(SnapshotPart::Begin(begin)))) => begin,
            Ok(Some(Err(status))) => return Err(status),
            Ok(Some(Ok(_)) | None) => {
                return Err(Status::invalid_argument(
                    "an upload begins with what it is a snapshot of",
                ));
            }
            Err(_) => return Err(Status::deadline_exceeded("nothing came of the upload")),
        };
        let sender = self.sender_of(cx, &begin.cluster, begin.target)?;
        let upload = upload_of(&self.shared, &sender, &begin).await?;
        let receiving = Receiving {
            shared: Arc::clone(&self.shared),
            engine: Arc::clone(&self.engine),
            call: upload.begin(),
            upload,
            sender,
        };
        let (progress, answers) = Streaming::channel(4);
        // A task of its own, so that chunks are read while answers are not; it ends when nobody reads them any more.
        tokio::spawn(async move {
            let result = tokio::select! {
                result = receiving.receive(begin, parts, &progress) => result,
                () = progress.closed() => return,
            };
            if let Err(status) = result {
                let _ = progress.fail(status).await;
            }
        });
        Ok(Streaming::new(answers))
    }

    async fn election_messages(
        &self,
        cx: &Context,
        batches: Streaming<MessageBatch>,
    ) -> Result<Streaming<MessageReceipt>> {
        self.messages(cx, Class::Election, batches)
    }

    async fn heartbeat_messages(
        &self,
        cx: &Context,
        batches: Streaming<MessageBatch>,
    ) -> Result<Streaming<MessageReceipt>> {
        self.messages(cx, Class::Heartbeat, batches)
    }

    async fn append_messages(
        &self,
        cx: &Context,
        batches: Streaming<MessageBatch>,
    ) -> Result<Streaming<MessageReceipt>> {
        self.messages(cx, Class::LogAppend, batches)
    }
}

impl<E> fmt::Debug for Inbound<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbound").finish_non_exhaustive()
    }
}

/// The upload that a call brings more of: the one of this sender, if it is of the same snapshot and can go on, or else a new one in its
/// place.
async fn upload_of(
    shared: &Shared,
    sender: &PeerState,
    begin: &SnapshotBegin,
) -> Result<Arc<Upload>> {
    let known = lock(&sender.upload).clone();
    if let Some(known) = known
        && known.id == begin.id
        && known.total_bytes == begin.total_bytes
        && known.can_go_on()
    {
        return Ok(known);
    }
    let upload = Arc::new(Upload::new(&shared.config, sender.id(), begin).await?);
    let replaced = lock(&sender.upload).replace(Arc::clone(&upload));
    if let Some(replaced) = replaced {
        // Who brings it finds that it is not wanted any more.
        replaced.begin();
    }
    Ok(upload)
}

/// One call that brings more of an upload.
struct Receiving<E> {
    shared: Arc<Shared>,
    engine: Arc<E>,
    sender: Arc<PeerState>,
    upload: Arc<Upload>,
    call: u64,
}

impl<E: Engine> Receiving<E> {
    async fn receive(
        &self,
        begin: SnapshotBegin,
        mut parts: Streaming<SnapshotPart>,
        progress: &blixard_rpc::call::Sender<SnapshotProgress>,
    ) -> Result<()> {
        let _forget = Forget(self);
        let idle = self.shared.config.snapshot.idle_timeout;
        let offset = self.upload.arrived(self.call).await?.offset();
        progress.send(SnapshotProgress::Received(offset)).await?;
        let counts = &self.sender.class(Class::Snapshot).counts;
        loop {
            let part = match timeout(idle, parts.next()).await {
                Ok(Some(part)) => part?,
                Ok(None) => return Err(Status::cancelled("the upload has no end")),
                Err(_) => {
                    return Err(Status::deadline_exceeded(format!(
                        "nothing came of the upload for {idle:?}"
                    )));
                }
            };
            let mut arrived = self.upload.arrived(self.call).await?;
            match part {
                SnapshotPart::Begin(_) => {
                    return Err(Status::invalid_argument("an upload begins once"));
                }
                SnapshotPart::Chunk(chunk) => {
                    let bytes = chunk.data.len();
                    let offset = Arrived::chunk(arrived, chunk, begin.total_bytes).await?;
                    counts.received(1, bytes);
                    progress.send(SnapshotProgress::Received(offset)).await?;
                }
                SnapshotPart::End(end) => {
                    if let Some(response) = arrived.installed() {
                        let response = response.clone();
                        return progress.send(SnapshotProgress::Installed(response)).await;
                    }
                    let total = begin.total_bytes;
                    let snapshot = arrived.end(&end, begin)?;
                    let (engine, from) = (Arc::clone(&self.engine), self.sender.id());
                    // It is installed even if nobody waits for it any more; who asks again is told.
                    let mut installing = tokio::spawn(async move {
                        let response = engine.snapshot(from, snapshot).await?;
                        arrived.set_installed(response.clone());
                        Ok::<_, Status>(response)
                    });
                    let mut still_here = interval(idle / 4);
                    still_here.set_missed_tick_behavior(MissedTickBehavior::Delay);
                    loop {
                        tokio::select! {
                            installed = &mut installing => {
                                let response = installed.map_err(|_| {
                                    Status::internal("the engine broke off while it installed the snapshot")
                                })??;
                                return progress.send(SnapshotProgress::Installed(response)).await;
                            }
                            _ = still_here.tick() => {
                                progress.send(SnapshotProgress::Received(total)).await?;
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Sees to it that what has come of an upload does not stay for ever.
struct Forget<'a, E>(&'a Receiving<E>);

impl<E> Drop for Forget<'_, E> {
    fn drop(&mut self) {
        let keep = self.0.shared.config.snapshot.keep_partial;
        let sender = Arc::downgrade(&self.0.sender);
        let upload = Arc::downgrade(&self.0.upload);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            sleep(keep).await;
            let (Some(sender), Some(upload)) = (sender.upgrade(), upload.upgrade()) else {
                return;
            };
            let is_idle = upload
                .touched()
                .is_some_and(|touched| touched.elapsed() >= keep);
            let mut slot = lock(&sender.upload);
            if is_idle
                && slot
                    .as_ref()
                    .is_some_and(|known| Arc::ptr_eq(known, &upload))
            {
                *slot = None;
            }
        });
    }
}
