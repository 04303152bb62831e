//! What two nodes say to each other for a machine to get from one to the other: [`Call`], by which it is sent; [`Arrival`], by which it
//! comes; [`Nodes`], how other nodes are called. What is done with it is in `keeper`, and whose it is follows from `machine`.
//!
//! ```text
//! sends                         receives
//! Sending    Offer ---------->  Receiving: a place is kept, and a process waits
//!            <----------- Ready
//!            Data, Data, ... -> (the guest runs where it was)
//! Offered    Take ----------->  Received: from here on it is this node's
//! gone       <----------- Taken Running
//! ```
//!
//! Whoever receives decides, by one commit. Whoever sends has recorded before that (`Offered`) that it does not know any more whose the
//! machine is, and asks until it does: the one that receives has it, or says that it never will.

use std::{
    collections::HashMap,
    fmt,
    io::ErrorKind,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};

use blixard_rpc::{Channel, Context, Result, Status, Streaming, call::Sender};
use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::{
    api::{Vms, VmsClient},
    backend::{Guest, GuestEvent},
    messages::{
        ReceiveRequest, ReceiveResponse, TransferAnswer, TransferOffer, TransferPart,
        TransferRecord,
    },
};

type Reach = dyn Fn(&str) -> Result<Channel> + Send + Sync;

/// How other nodes are called, by the names that this node has for them.
#[derive(Clone, Default)]
pub(super) struct Nodes(Option<Arc<Reach>>);

impl Nodes {
    pub(super) fn new(reach: impl Fn(&str) -> Result<Channel> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(reach)))
    }

    pub(super) fn of(&self, node: &str) -> Result<VmsClient> {
        let reach = self.0.as_ref().ok_or_else(|| {
            Status::failed_precondition(
                "this node knows no other nodes: it was started without a way to call them",
            )
        })?;
        reach(node).map(VmsClient::new)
    }
}

impl fmt::Debug for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Nodes").field(&self.0.is_some()).finish()
    }
}

/// The call by which a machine is sent. Dropping it ends the call, and whoever receives gives up.
pub(super) struct Call {
    parts: Sender<ReceiveRequest>,
    answers: Streaming<ReceiveResponse>,
}

impl Call {
    /// Offers a machine; answers when there is a place for it.
    pub(super) async fn offer(vms: &VmsClient, offer: TransferOffer) -> Result<Self> {
        let (parts, requests) = Streaming::channel(PARTS_QUEUED);
        let part = TransferPart::Offer(offer);
        parts.send(ReceiveRequest { part }).await?;
        let offered = async {
            let cx = Context::background();
            let answers = vms.receive(&cx, requests).await?;
            let mut call = Self { parts, answers };
            call.answer(TransferAnswer::Ready).await?;
            Ok(call)
        };
        timeout(OFFER, offered).await.unwrap_or_else(|_| {
            Err(Status::unavailable(format!(
                "it had no place within {OFFER:?}"
            )))
        })
    }

    /// Says the next thing.
    pub(super) async fn part(&mut self, part: TransferPart) -> Result<()> {
        let sent = tokio::select! {
            sent = self.parts.send(ReceiveRequest { part }) => sent,
            answer = self.answers.next() => return Err(not_now(answer)),
        };
        match sent {
            Ok(()) => Ok(()),
            // Why it is not read any more is what was answered last.
            Err(_) => Err(not_now(self.answers.next().await)),
        }
    }

    /// Sends all that comes out of this.
    pub(super) async fn pump(&mut self, mut from: impl AsyncRead + Unpin) -> Result<()> {
        loop {
            let mut data = BytesMut::with_capacity(DATA_BYTES);
            let read = tokio::select! {
                read = from.read_buf(&mut data) => read,
                answer = self.answers.next() => return Err(not_now(answer)),
            };
            match read {
                Ok(0) => return Ok(()),
                Ok(_) => self.part(TransferPart::Data(data.freeze())).await?,
                Err(error) => {
                    return Err(Status::unavailable(format!("it cannot be read: {error}")));
                }
            }
        }
    }

    /// Waits for an answer, which is to be this one.
    pub(super) async fn answer(&mut self, expected: TransferAnswer) -> Result<()> {
        match self.answers.next().await {
            Some(Ok(response)) if response.answer == expected => Ok(()),
            other => Err(not_now(other)),
        }
    }
}

fn not_now(answer: Option<Result<ReceiveResponse>>) -> Status {
    match answer {
        Some(Err(status)) => status,
        Some(Ok(ReceiveResponse { answer })) => {
            Status::internal(format!("it answers {answer:?} where nothing was asked"))
        }
        None => Status::unavailable("it ended the call"),
    }
}

/// What a node sends of a machine that is to come here.
pub(super) struct Arrival {
    pub(super) form: String,
    pub(super) parts: Streaming<ReceiveRequest>,
    pub(super) answers: Sender<ReceiveResponse>,
}

impl Arrival {
    pub(super) async fn answer(&mut self, answer: TransferAnswer) -> Result<()> {
        self.answers.send(ReceiveResponse { answer }).await
    }

    /// The next part.
    pub(super) async fn part(&mut self) -> Result<TransferPart> {
        match timeout(SILENCE, self.parts.next()).await {
            Ok(Some(Ok(request))) => Ok(request.part),
            Ok(Some(Err(status))) => Err(status),
            Ok(None) => Err(Status::cancelled(
                "the node that sent it has ended the call",
            )),
            Err(_) => Err(Status::deadline_exceeded(format!(
                "the node that sends it said nothing for {SILENCE:?}"
            ))),
        }
    }
}

/// What comes, from when it was offered until somebody looks after it; by the uuid of the machine.
#[derive(Clone, Default)]
pub(super) struct Arrivals(Arc<Mutex<HashMap<String, Option<Arrival>>>>);

/// A place for a machine that comes. It is free again when this is dropped.
pub(super) struct Place {
    arrivals: Arrivals,
    uuid: String,
}

impl Arrivals {
    /// Keeps a place for what comes.
    pub(super) fn keep(&self, uuid: &str, arrival: Arrival) -> Result<()> {
        let mut arrivals = self.lock();
        if arrivals.len() >= MAX_RECEIVING {
            return Err(Status::resource_exhausted(format!(
                "{MAX_RECEIVING} machines are on their way there already: try again later"
            )));
        }
        if arrivals.contains_key(uuid) {
            return Err(Status::already_exists(
                "that machine is on its way there already",
            ));
        }
        arrivals.insert(uuid.to_owned(), Some(arrival));
        Ok(())
    }

    /// What comes, for who looks after it, and its place.
    pub(super) fn take(&self, uuid: &str) -> Option<(Arrival, Place)> {
        let arrival = self.lock().get_mut(uuid)?.take()?;
        let place = Place {
            arrivals: self.clone(),
            uuid: uuid.to_owned(),
        };
        Some((arrival, place))
    }

    /// Whether something comes for which nobody looks yet.
    pub(super) fn is_there(&self, uuid: &str) -> bool {
        self.lock().get(uuid).is_some_and(Option::is_some)
    }

    /// It does not come: whoever sends it is told why.
    pub(super) async fn refuse(&self, uuid: &str, status: Status) {
        let refused = self.lock().remove(uuid).flatten();
        if let Some(arrival) = refused {
            // Nobody waits for it if this cannot be said.
            let _ = arrival.answers.fail(status).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Option<Arrival>>> {
        self.0.lock().expect("no holder panics")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.arrivals.lock().remove(&self.uuid);
    }
}

impl fmt::Debug for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Arrivals").field(&self.lock().len()).finish()
    }
}

/// Sends a guest; answers since when it is held.
pub(super) async fn send_guest<G: Guest>(
    guest: &mut G,
    call: &mut Call,
    wire: G::Wire,
) -> Result<SystemTime, (Status, Option<GuestEvent>)> {
    let mut pumped = std::pin::pin!(call.pump(wire));
    let (mut held, mut all) = (None, false);
    loop {
        if let (Some(held), true) = (held, all) {
            return Ok(held);
        }
        let event = tokio::select! {
            biased;
            event = guest.event() => event,
            pump = &mut pumped, if !all => {
                pump.map_err(|status| (status, None))?;
                all = true;
                continue;
            }
        };
        match event {
            GuestEvent::Sent(since) => held = Some(since),
            GuestEvent::NotSent => {
                // Why the other node did not take it says more.
                let pumped = async { if all { Ok(()) } else { pumped.await } };
                let status = match timeout(LAST_WORDS, pumped).await {
                    Ok(Err(status)) => status,
                    _ => Status::unavailable("its hypervisor could not send it"),
                };
                return Err((status, None));
            }
            GuestEvent::Running | GuestEvent::Paused(None) | GuestEvent::Received => {}
            event => {
                let status = Status::unavailable("its guest was held or has ended meanwhile");
                return Err((status, Some(event)));
            }
        }
    }
}

/// Takes in what is sent, until it is the machine as it is to be recorded.
pub(super) async fn take_in<G: Guest>(
    mut guest: Option<&mut G>,
    arrival: &mut Arrival,
) -> Result<TransferRecord> {
    let mut wire = None;
    let mut received = guest.is_none();
    let mut taken = None;
    loop {
        if received && let Some(taken) = taken.take() {
            return Ok(taken);
        }
        let part = tokio::select! {
            biased;
            event = next(guest.as_deref_mut()) => {
                match event {
                    GuestEvent::Received => received = true,
                    GuestEvent::Gone(reason) => return Err(Status::unavailable(reason.message)),
                    GuestEvent::Unreachable(why) => return Err(Status::unavailable(why)),
                    _ => {}
                }
                continue;
            }
            part = arrival.part() => part?,
        };
        let misplaced = || Status::invalid_argument("a part came that does not belong there");
        match part {
            TransferPart::Memory if wire.is_none() => {
                let guest = guest.as_deref_mut().ok_or_else(misplaced)?;
                wire = Some(guest.take_in().await?);
            }
            TransferPart::Data(data) => {
                let into = wire.as_mut().ok_or_else(misplaced)?;
                let written = timeout(SILENCE, into.write_all(&data)).await;
                let Err(error) = written.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into())) else {
                    continue;
                };
                // If it is gone, its process says why.
                let gone = timeout(LAST_WORDS, next(guest.as_deref_mut())).await;
                return Err(Status::unavailable(match gone {
                    Ok(GuestEvent::Gone(reason)) => reason.message,
                    _ => format!("its process takes nothing in: {error}"),
                }));
            }
            TransferPart::Take(record) if taken.is_none() => {
                // It is the end of what its process gets.
                wire = None;
                taken = Some(record);
            }
            _ => return Err(misplaced()),
        }
    }
}

/// What happens next to a guest, if there is one. Cancel safe.
pub(super) async fn next<G: Guest>(guest: Option<&mut G>) -> GuestEvent {
    match guest {
        Some(guest) => guest.event().await,
        None => std::future::pending().await,
    }
}

/// So many machines come to a node at once.
pub(super) const MAX_RECEIVING: usize = 8;
/// The longest part that is sent.
pub(super) const DATA_BYTES: usize = 256 * 1024;
const PARTS_QUEUED: usize = 2;
/// How long the other node has to find a place, start a process and compare files.
const OFFER: Duration = Duration::from_secs(120);
/// How long whoever sends may be silent.
pub(super) const SILENCE: Duration = Duration::from_secs(60);
/// From what was seen first of an end to what says why.
const LAST_WORDS: Duration = Duration::from_secs(1);
