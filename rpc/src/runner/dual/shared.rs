//! [`Shared`]: the two sides of a channel and what its calls and the task beside it know of them. What calls do with it is not known
//! here.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    task::AbortHandle,
    time::{Instant, timeout_at},
};

use super::{
    config::DualConfig,
    counts::{DualStats, SideCounts, SideStats},
    switch::{Event, Switch, Todo},
};
use crate::{
    call::{Method, Recall, Request, Response},
    dispatch::Dispatch,
    random::random_u64,
    runner::{Migration, Prefer, Transport},
    status::{Result, Status},
};

/// How long a service is looked for where it was sent to, before it is asked again where it is preferred.
const ASK_AGAIN: Duration = Duration::from_secs(2);

pub(super) struct Shared<I, G> {
    pub(super) iroh: I,
    pub(super) grpc: G,
    pub(super) config: DualConfig,
    pub(super) migration: Migration,
    /// What the switch says, for calls that have no time to ask: see [`Plan`].
    plan: AtomicU64,
    pub(super) counts: [SideCounts; 2],
    state: Mutex<State>,
    /// Another plan.
    replanned: Notify,
    /// A side's waiting calls are to go on over the other.
    pub(super) given_up: [Notify; 2],
    /// Calls that a side was given and has not sent are to go on over the other.
    pub(super) recall: [Arc<Recall>; 2],
    /// There is something for the task to look at.
    pub(super) wake: Arc<Notify>,
    pub(super) this: Weak<Self>,
    /// Whether there is anything in `moved`.
    any_moved: AtomicBool,
    /// The services that a side has sent on to the other.
    moved: RwLock<HashMap<&'static str, Moved>>,
    /// What the tapes of all calls keep.
    pub(super) kept_bytes: Arc<AtomicUsize>,
}

pub(super) struct State {
    switch: Switch,
    /// Where calls went last.
    route: Option<Transport>,
    switches: u64,
    /// The task beside the channel.
    pub(super) task: Option<AbortHandle>,
}

struct Moved {
    to: Transport,
    until: Instant,
}

/// Where a call goes first.
pub(super) struct Route {
    pub(super) first: Transport,
    /// When that was decided.
    pub(super) era: u64,
    /// The side has sent this service away before, and is asked again.
    pub(super) asks_again: bool,
}

impl<I: Dispatch, G: Dispatch> Shared<I, G> {
    pub(super) fn new(iroh: I, grpc: G, config: DualConfig, migration: Migration) -> Arc<Self> {
        let switch = Switch::new(config, Instant::now());
        Arc::new_cyclic(|this| Self {
            iroh,
            grpc,
            config,
            migration,
            plan: AtomicU64::new(Plan::of(&switch).0),
            counts: Default::default(),
            state: Mutex::new(State {
                switch,
                route: None,
                switches: 0,
                task: None,
            }),
            replanned: Notify::new(),
            given_up: Default::default(),
            recall: Default::default(),
            wake: Arc::default(),
            this: Weak::clone(this),
            any_moved: AtomicBool::new(false),
            moved: RwLock::default(),
            kept_bytes: Arc::default(),
        })
    }

    /// Where a call goes first; while that is not known, it waits for what the sides say.
    pub(super) async fn route(&self, method: &Method) -> Route {
        let (prefer, asks_again) = self.prefer(method);
        let plan = Plan(self.plan.load(Ordering::Acquire));
        let (first, era) = match plan.route(prefer) {
            Some(first) => (first, plan.era()),
            // Boxed: seldom, and large.
            None => Box::pin(self.find_out(prefer)).await,
        };
        Route {
            first,
            era,
            asks_again,
        }
    }

    pub(super) async fn send(&self, transport: Transport, request: Request) -> Result<Response> {
        match transport {
            Transport::Iroh => self.iroh.dispatch(request).await,
            Transport::Grpc => self.grpc.dispatch(request).await,
        }
    }

    /// A side did not take a call.
    pub(super) fn refused(&self, transport: Transport, reason: &Status, era: u64) {
        let is_news =
            self.change(|switch, now| switch.refused(transport, reason, era, now, random_u64()));
        if is_news {
            self.look();
        }
    }

    /// A side lost a call that it had taken, or answered as if it had.
    pub(super) fn suspect(&self, transport: Transport) {
        self.change(|switch, now| switch.suspect(transport, now));
    }

    /// A side has sent a service to the other one.
    pub(super) fn sent_on(&self, method: &Method, to: Transport) {
        // Names that come from peers would be remembered without a bound.
        let Some(method) = method.descriptor() else {
            return;
        };
        let name = method.service().name;
        let moved = Moved {
            to,
            until: Instant::now() + ASK_AGAIN,
        };
        let mut all = self.moved.write().unwrap_or_else(PoisonError::into_inner);
        let before = all.insert(name, moved);
        self.any_moved.store(true, Ordering::Release);
        drop(all);
        if before.is_none_or(|before| before.to != to) {
            tracing::info!(
                service = name,
                to = to.name(),
                "the service is carried by another transport: its calls go there"
            );
        }
    }

    /// A side that had sent a service away takes it again.
    pub(super) fn taken_back(&self, method: &Method, by: Transport) {
        let Some(method) = method.descriptor() else {
            return;
        };
        let name = method.service().name;
        let mut all = self.moved.write().unwrap_or_else(PoisonError::into_inner);
        let was_moved = all.get(name).is_some_and(|moved| moved.to != by);
        if was_moved {
            all.remove(name);
        }
        self.any_moved.store(!all.is_empty(), Ordering::Release);
        drop(all);
        if was_moved {
            tracing::info!(
                service = name,
                "the service is carried again where it is preferred"
            );
        }
    }

    pub(super) fn era(&self) -> u64 {
        Plan(self.plan.load(Ordering::Acquire)).era()
    }

    pub(super) fn is_up(&self, transport: Transport) -> bool {
        self.lock().switch.is_up(transport)
    }

    /// A look of the task beside the channel.
    pub(super) fn tick(&self) -> Todo {
        let counts = [self.counts[0].now(), self.counts[1].now()];
        let todo = self.change(|switch, now| switch.tick(counts, now, random_u64()));
        for (given_up, notify) in todo.give_up.iter().zip(&self.given_up) {
            if *given_up {
                notify.notify_waiters();
            }
        }
        todo
    }

    /// What came of a question.
    pub(super) fn probed(&self, transport: Transport, number: u64, result: Result<Duration>) {
        let compare = self.migration.compares();
        self.change(|switch, now| {
            switch.probed(transport, number, result, compare, now, random_u64());
        });
    }

    /// A question has been given up by the one who asked it.
    pub(super) fn unanswered(&self, transport: Transport, number: u64) {
        self.change(|switch, now| switch.unanswered(transport, number, now));
    }

    pub(super) fn stats(&self) -> DualStats {
        let state = self.lock();
        let side = |transport: Transport| {
            let counts = &self.counts[transport.index()];
            let now = counts.now();
            SideStats {
                calls: now.begun,
                waiting: now.waiting(),
                moved: counts.moved_total(),
                standing: state.switch.standing(transport),
                latency: state.switch.latency(transport),
            }
        };
        DualStats {
            iroh: side(Transport::Iroh),
            grpc: side(Transport::Grpc),
            route: state.switch.route(self.default_prefer(), false),
            switches: state.switches,
        }
    }

    /// What the call prefers, and whether that is where its service was sent away from.
    fn prefer(&self, method: &Method) -> (Prefer, bool) {
        let service = || service_of(method);
        let mut asks_again = false;
        if self.any_moved.load(Ordering::Acquire) {
            match self.moved_to(service()) {
                Some(Ok(to)) => return (only(to), false),
                Some(Err(AsksAgain)) => asks_again = true,
                None => {}
            }
        }
        (self.migration.of(service).prefer(), asks_again)
    }

    fn moved_to(&self, service: &str) -> Option<Result<Transport, AsksAgain>> {
        let now = Instant::now();
        let all = self.moved.read().unwrap_or_else(PoisonError::into_inner);
        let moved = all.get(service)?;
        if now < moved.until {
            return Some(Ok(moved.to));
        }
        drop(all);
        // One call asks; the others go where they went until it is answered.
        let mut all = self.moved.write().unwrap_or_else(PoisonError::into_inner);
        let moved = all.get_mut(service)?;
        if now < moved.until {
            return Some(Ok(moved.to));
        }
        moved.until = now + ASK_AGAIN;
        Some(Err(AsksAgain))
    }

    async fn find_out(&self, prefer: Prefer) -> (Transport, u64) {
        let until = Instant::now() + self.config.probe_timeout + self.config.tick() * 2;
        self.change(Switch::wake);
        let mut has_waited = !self.look();
        loop {
            let replanned = self.replanned.notified();
            tokio::pin!(replanned);
            // Listened for before the switch is asked, so that no news falls in between.
            replanned.as_mut().enable();
            {
                let state = self.lock();
                if let Some(first) = state.switch.route(prefer, has_waited) {
                    return (first, state.switch.era());
                }
            }
            if timeout_at(until, replanned).await.is_err() {
                has_waited = true;
            }
        }
    }

    fn default_prefer(&self) -> Prefer {
        self.migration.of(|| "").prefer()
    }

    /// Nobody calls any more.
    pub(super) fn end(&self) {
        let task = self.lock().task.take();
        if let Some(task) = task {
            task.abort();
        }
    }

    /// Changes what is known, and with it the plan; says in the log what has become of it.
    fn change<T>(&self, change: impl FnOnce(&mut Switch, Instant) -> T) -> T {
        let prefer = self.default_prefer();
        let mut state = self.lock();
        let value = change(&mut state.switch, Instant::now());
        let events = state.switch.take_events();
        let plan = Plan::of(&state.switch).0;
        let before = self.plan.swap(plan, Ordering::AcqRel);
        let route = state.switch.route(prefer, false);
        let switched = match (state.route, route) {
            (Some(before), Some(now)) if before != now => {
                state.switches += 1;
                Some(now)
            }
            _ => None,
        };
        state.route = route.or(state.route);
        for transport in Transport::ALL {
            let is_better_there =
                state.switch.is_away(transport) && state.switch.is_up(transport.other());
            self.recall[transport.index()].set(is_better_there);
        }
        drop(state);
        for event in &events {
            say(event);
        }
        if let Some(to) = switched {
            tracing::info!(to = to.name(), "calls go over another transport now");
        }
        if plan != before {
            self.replanned.notify_waiters();
        }
        value
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<I, G> fmt::Debug for Shared<I, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("config", &self.config)
            .field("migration", &self.migration)
            .finish_non_exhaustive()
    }
}

/// The service is to be asked again where it is preferred.
struct AsksAgain;

/// What the switch says, in one word that calls load: two bits for each preference, 0 while it is to be found out; and the era.
#[derive(Clone, Copy)]
struct Plan(u64);

const ERA_SHIFT: u32 = 8;

impl Plan {
    fn of(switch: &Switch) -> Self {
        let mut bits = switch.era() << ERA_SHIFT;
        for prefer in [Prefer::Iroh, Prefer::Grpc, Prefer::Adaptive] {
            let code = match switch.route(prefer, false) {
                None => 0,
                Some(Transport::Iroh) => 1,
                Some(Transport::Grpc) => 2,
            };
            bits |= code << Self::shift(prefer);
        }
        Self(bits)
    }

    const fn route(self, prefer: Prefer) -> Option<Transport> {
        match (self.0 >> Self::shift(prefer)) & 3 {
            1 => Some(Transport::Iroh),
            2 => Some(Transport::Grpc),
            _ => None,
        }
    }

    const fn era(self) -> u64 {
        self.0 >> ERA_SHIFT
    }

    const fn shift(prefer: Prefer) -> u32 {
        match prefer {
            Prefer::Iroh => 0,
            Prefer::Grpc => 2,
            Prefer::Adaptive => 4,
        }
    }
}

fn only(transport: Transport) -> Prefer {
    match transport {
        Transport::Iroh => Prefer::Iroh,
        Transport::Grpc => Prefer::Grpc,
    }
}

/// The full name of the service that a call is for.
fn service_of(method: &Method) -> &str {
    match method {
        Method::Known(method) => method.service().name,
        Method::Path(_) => method
            .path()
            .trim_start_matches('/')
            .split('/')
            .next()
            .unwrap_or_default(),
    }
}

fn say(event: &Event) {
    match event {
        Event::Away(transport, reason) => {
            tracing::warn!(transport = transport.name(), %reason, "a transport is away");
        }
        Event::Back(transport) => {
            tracing::info!(transport = transport.name(), "a transport is back");
        }
        Event::Faster(transport) => {
            tracing::info!(
                transport = transport.name(),
                "a transport has become the faster one"
            );
        }
    }
}
