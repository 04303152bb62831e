//! [`Shared`]: what all handles of a transport have in common; and [`PeerState`], what is known of one member.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Waker,
    time::Duration,
};

use blixard_rpc::{Result, Status, runner::Mode};
use tokio::{sync::watch, task::AbortHandle, time::Instant};

use crate::{
    arrival::Upload,
    beat::Beats,
    class::{Class, Purpose},
    config::TransportConfig,
    counts::{ClassCounts, RefusedCounts},
    engine::{Dropped, Engine, Event},
    health::{Health, Standing},
    lane::{Drops, Lane, Next},
    member::{Member, MemberId},
    network::{Link, Network, Pools},
    rate::Rate,
};

/// What all handles of a transport have in common.
pub(crate) struct Shared {
    pub(crate) config: TransportConfig,
    pub(crate) mode: watch::Sender<Mode>,
    pub(crate) pools: Pools,
    pub(crate) refused: RefusedCounts,
    pub(crate) rate: Mutex<Rate>,
    members: RwLock<HashMap<MemberId, Arc<PeerState>>>,
    /// Grows whenever members change, so that who has looked once need not look again.
    version: AtomicU64,
    sink: OnceLock<Weak<dyn Sink>>,
}

/// An engine, as far as events go.
pub(crate) trait Sink: Send + Sync {
    fn event(&self, event: Event);
}

impl<E: Engine> Sink for E {
    fn event(&self, event: Event) {
        Engine::event(self, event);
    }
}

impl Shared {
    pub(crate) fn new(config: TransportConfig, network: Network) -> Self {
        Self {
            mode: watch::Sender::new(config.mode),
            pools: Pools::new(network, config.redial),
            refused: RefusedCounts::default(),
            rate: Mutex::new(Rate::new(config.snapshot.bytes_per_second, Instant::now())),
            members: RwLock::default(),
            version: AtomicU64::new(0),
            sink: OnceLock::new(),
            config,
        }
    }

    pub(crate) fn mode(&self) -> Mode {
        *self.mode.borrow()
    }

    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(crate) fn peer(&self, id: MemberId) -> Option<Arc<PeerState>> {
        self.read().get(&id).cloned()
    }

    pub(crate) fn peers(&self) -> Vec<Arc<PeerState>> {
        let mut peers: Vec<_> = self.read().values().cloned().collect();
        peers.sort_by_key(|peer| peer.member.id);
        peers
    }

    /// The member that has proved to be the caller.
    pub(crate) fn identify(&self, caller: &blixard_rpc::Peer) -> Option<Arc<PeerState>> {
        self.read()
            .values()
            .find(|peer| peer.member.is(caller))
            .cloned()
    }

    /// # Errors
    /// `INVALID_ARGUMENT` if another member is known by the same.
    pub(crate) fn set_member(&self, member: Member) -> Result<()> {
        let peer = Arc::new(PeerState::new(member, self));
        let replaced = {
            let mut members = self.members.write().unwrap_or_else(PoisonError::into_inner);
            let member = &peer.member;
            let like = members
                .values()
                .find(|other| other.member.id != member.id && other.member.is_like(member));
            if let Some(like) = like {
                return Err(Status::invalid_argument(format!(
                    "members {} and {} have a key or a certificate name in common: who calls with it could be either",
                    like.member.id, member.id
                )));
            }
            if members
                .get(&member.id)
                .is_some_and(|known| known.member == *member)
            {
                return Ok(());
            }
            members.insert(member.id, peer)
        };
        self.version.fetch_add(1, Ordering::Release);
        if let Some(replaced) = replaced {
            replaced.end(self);
        }
        Ok(())
    }

    pub(crate) fn remove_member(&self, id: MemberId) {
        let removed = {
            let mut members = self.members.write().unwrap_or_else(PoisonError::into_inner);
            members.remove(&id)
        };
        if let Some(removed) = removed {
            self.version.fetch_add(1, Ordering::Release);
            removed.end(self);
        }
    }

    /// Tells this engine from now on; only the first is told.
    pub(crate) fn set_sink(&self, sink: Weak<dyn Sink>) {
        let _ = self.sink.set(sink);
    }

    pub(crate) fn tell(&self, event: Event) {
        if let Some(sink) = self.sink.get().and_then(Weak::upgrade) {
            sink.event(event);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<MemberId, Arc<PeerState>>> {
        self.members.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of one member.
pub(crate) struct PeerState {
    pub(crate) member: Member,
    links: [Link; Purpose::ALL.len()],
    classes: [ClassState; Class::ALL.len()],
    /// What has come of a snapshot of theirs.
    pub(crate) upload: Mutex<Option<Arc<Upload>>>,
    pub(crate) ended: AtomicBool,
    /// When a contact of theirs was last a reason to dial anew.
    redialled: Mutex<Option<Instant>>,
}

/// What is known of one member and class.
pub(crate) struct ClassState {
    pub(crate) counts: ClassCounts,
    /// Calls that are answered once, and streams of the log.
    asked: Mutex<Watched<Health>>,
    /// One-way messages.
    lane: Mutex<Watched<Lane>>,
    /// Whoever looks after the lane's stream.
    pub(crate) keeper: tokio::sync::Notify,
    /// Those who wait for room in the lane's queue.
    room: tokio::sync::Notify,
    pub(crate) task: OnceLock<AbortHandle>,
    /// Calls that are under way, and their bytes.
    pub(crate) under_way: Mutex<(usize, usize)>,
    /// The heartbeat that waits for the one before.
    pub(crate) beats: Mutex<Beats>,
    /// The number of the stream that came in last: what comes on an older one is not taken any more.
    pub(crate) arrived: AtomicU64,
    /// Whose turn it is to give the engine something, so that what comes on an older stream never comes after what is newer.
    pub(crate) turn: tokio::sync::Mutex<()>,
}

/// What waits and what is under way of one class.
pub(crate) struct Queued {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
    pub(crate) in_flight: usize,
}

/// With what others are to be told.
struct Watched<T> {
    inner: T,
    /// The standing that was told last.
    told: Standing,
    /// Whoever waits for something to carry.
    carrier: Option<Waker>,
    /// Whether somebody waits for room.
    room_awaited: bool,
}

impl<T> Watched<T> {
    const fn new(inner: T) -> Mutex<Self> {
        Mutex::new(Self {
            inner,
            told: Standing::Up,
            carrier: None,
            room_awaited: false,
        })
    }
}

impl PeerState {
    fn new(member: Member, shared: &Shared) -> Self {
        let links = Purpose::ALL.map(|purpose| shared.pools.link(&member, purpose));
        let classes = Class::ALL.map(|class| ClassState {
            counts: ClassCounts::default(),
            asked: Watched::new(Health::new(shared.config.suspect_after)),
            lane: Watched::new(Lane::new(class, &shared.config)),
            keeper: tokio::sync::Notify::new(),
            room: tokio::sync::Notify::new(),
            task: OnceLock::new(),
            under_way: Mutex::default(),
            beats: Mutex::default(),
            arrived: AtomicU64::new(0),
            turn: tokio::sync::Mutex::new(()),
        });
        Self {
            member,
            links,
            classes,
            upload: Mutex::default(),
            ended: AtomicBool::new(false),
            redialled: Mutex::default(),
        }
    }

    pub(crate) const fn id(&self) -> MemberId {
        self.member.id
    }

    pub(crate) const fn class(&self, class: Class) -> &ClassState {
        &self.classes[class.index()]
    }

    pub(crate) const fn link(&self, purpose: Purpose) -> &Link {
        &self.links[purpose.index()]
    }

    /// How it is in this class, by calls and by messages.
    pub(crate) fn standing(&self, class: Class) -> Standing {
        let now = Instant::now();
        let state = self.class(class);
        let asked = lock(&state.asked).inner.check(now);
        asked.max(lock(&state.lane).inner.health().standing())
    }

    /// How long an acknowledgement took lately.
    pub(crate) fn round_trip(&self, class: Class) -> Option<Duration> {
        let state = self.class(class);
        let asked = lock(&state.asked).inner.round_trip();
        asked.or_else(|| lock(&state.lane).inner.health().round_trip())
    }

    /// What waits and what is under way.
    pub(crate) fn queued(&self, class: Class) -> Queued {
        let state = self.class(class);
        let lane = lock(&state.lane);
        let (in_flight, _) = lane.inner.in_flight();
        let queue = lane.inner.queue();
        Queued {
            messages: queue.len(),
            bytes: queue.bytes(),
            in_flight: in_flight + lock(&state.under_way).0,
        }
    }

    /// Does something with what is known of calls, and tells the engine what that has changed.
    pub(crate) fn asked<T>(
        &self,
        shared: &Shared,
        class: Class,
        change: impl FnOnce(&mut Health) -> T,
    ) -> T {
        let mut watched = lock(&self.class(class).asked);
        let value = change(&mut watched.inner);
        let standing = watched.inner.standing();
        let before = std::mem::replace(&mut watched.told, standing);
        drop(watched);
        self.tell_standing(shared, class, before, standing);
        value
    }

    /// What is next on a stream of the lane. Its waker is kept where there is nothing yet.
    pub(crate) fn lane_next(
        &self,
        shared: &Shared,
        class: Class,
        stream: u64,
        waker: &Waker,
    ) -> Next {
        self.lane(
            shared,
            class,
            |lane| lane.next(Instant::now(), stream),
            |carrier, next| {
                if matches!(next, Next::Wait(_))
                    && !carrier
                        .as_ref()
                        .is_some_and(|carrier| carrier.will_wake(waker))
                {
                    *carrier = Some(waker.clone());
                }
            },
        )
    }

    /// Waits until the lane's queue is at most half full.
    pub(crate) async fn room(&self, class: Class) {
        let state = self.class(class);
        loop {
            let mut given = pin!(state.room.notified());
            // Before it is asked for, so that it is not missed.
            given.as_mut().enable();
            {
                let mut lane = lock(&state.lane);
                if lane.inner.queue().has_room() {
                    return;
                }
                lane.room_awaited = true;
            }
            given.await;
        }
    }

    /// Does something with the lane, tells the engine what that has changed, and whoever carries what is sent that there is something.
    pub(crate) fn with_lane<T>(
        &self,
        shared: &Shared,
        class: Class,
        change: impl FnOnce(&mut Lane) -> T,
    ) -> T {
        let mut woken = None;
        let value = self.lane(
            shared,
            class,
            |lane| {
                let value = change(lane);
                (value, lane.has_next())
            },
            |carrier, (_, has_next)| {
                if *has_next {
                    woken = carrier.take();
                }
            },
        );
        if let Some(carrier) = woken {
            carrier.wake();
        }
        value.0
    }

    /// Does something with the lane, and tells the engine what that has changed.
    fn lane<T>(
        &self,
        shared: &Shared,
        class: Class,
        change: impl FnOnce(&mut Lane) -> T,
        carrier: impl FnOnce(&mut Option<Waker>, &T),
    ) -> T {
        let mut watched = lock(&self.class(class).lane);
        let value = change(&mut watched.inner);
        carrier(&mut watched.carrier, &value);
        let drops = watched.inner.take_drops();
        let standing = watched.inner.health().standing();
        let before = std::mem::replace(&mut watched.told, standing);
        let gives_room = watched.room_awaited && watched.inner.queue().has_room();
        watched.room_awaited &= !gives_room;
        drop(watched);
        if gives_room {
            self.class(class).room.notify_waiters();
        }
        let Drops {
            stale,
            superseded,
            cut,
            down,
        } = drops;
        for (reason, messages) in [
            (Dropped::Stale, stale),
            (Dropped::Superseded, superseded),
            (Dropped::Cut, cut),
            (Dropped::Down, down),
        ] {
            self.dropped(shared, class, reason, messages);
        }
        self.tell_standing(shared, class, before, standing);
        value
    }

    pub(crate) fn dropped(&self, shared: &Shared, class: Class, reason: Dropped, messages: usize) {
        if messages == 0 {
            return;
        }
        self.class(class).counts.dropped(reason).add(messages);
        shared.tell(Event::Dropped {
            peer: self.id(),
            class,
            messages,
            reason,
        });
    }

    fn tell_standing(&self, shared: &Shared, class: Class, before: Standing, standing: Standing) {
        if before == standing {
            return;
        }
        let peer = self.id();
        if standing == Standing::Down {
            tracing::info!(peer, class = class.name(), "a member is down");
        } else {
            tracing::debug!(
                peer,
                class = class.name(),
                standing = standing.name(),
                "a member has changed"
            );
        }
        shared.tell(Event::Standing {
            peer,
            class,
            standing,
        });
    }

    /// The member has called: it is there. What waits to be dialled anew waits no longer, but at most once a second, for it may reach us
    /// and we not it.
    pub(crate) fn heard(&self, shared: &Shared) {
        let is_away = Class::ALL
            .into_iter()
            .any(|class| self.standing(class) == Standing::Down);
        if !is_away {
            return;
        }
        let now = Instant::now();
        {
            let mut last = lock(&self.redialled);
            if last.is_some_and(|last| now.saturating_duration_since(last) < REDIAL_INTERVAL) {
                return;
            }
            *last = Some(now);
        }
        for link in &self.links {
            link.redial();
        }
        for class in Class::ALL {
            self.with_lane(shared, class, Lane::heard);
            self.class(class).keeper.notify_one();
        }
    }

    /// It is no member any more.
    pub(crate) fn end(&self, shared: &Shared) {
        self.ended.store(true, Ordering::Release);
        for class in Class::ALL {
            let state = self.class(class);
            if let Some(task) = state.task.get() {
                task.abort();
            }
            let dropped = self.with_lane(shared, class, Lane::clear);
            self.dropped(shared, class, Dropped::Removed, dropped);
        }
    }
}

/// How often a contact of a member that is down may be a reason to dial it.
const REDIAL_INTERVAL: Duration = Duration::from_secs(1);

/// A number for jitter.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(0_u8)
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
