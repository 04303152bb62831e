//! [`MigrationStrategy`]: which transports carry which service, and which of them clients prefer; and [`Migration`], the one that
//! holds now. Who keeps to it is not known here.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use tokio::sync::watch;

use super::Transport;

/// Which of two transports a client prefers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Prefer {
    /// iroh, and gRPC while iroh is away.
    #[default]
    Iroh,
    /// gRPC, and iroh while gRPC is away.
    Grpc,
    /// The one that answers sooner, as measured.
    Adaptive,
}

/// Which transports carry a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Carry {
    /// iroh alone.
    Iroh,
    /// gRPC alone.
    Grpc,
    /// Both, and clients prefer one.
    Both(Prefer),
}

impl Carry {
    /// Whether this transport is among them.
    #[must_use]
    pub const fn on(self, transport: Transport) -> bool {
        matches!(
            (self, transport),
            (Self::Both(_), _) | (Self::Iroh, Transport::Iroh) | (Self::Grpc, Transport::Grpc)
        )
    }

    /// The name in configurations: `iroh`, `grpc` or `both`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Iroh => Transport::Iroh.name(),
            Self::Grpc => Transport::Grpc.name(),
            Self::Both(_) => "both",
        }
    }

    /// What clients prefer.
    #[must_use]
    pub const fn prefer(self) -> Prefer {
        match self {
            Self::Iroh => Prefer::Iroh,
            Self::Grpc => Prefer::Grpc,
            Self::Both(prefer) => prefer,
        }
    }

    const ALL: [Self; 5] = [
        Self::Iroh,
        Self::Grpc,
        Self::Both(Prefer::Iroh),
        Self::Both(Prefer::Grpc),
        Self::Both(Prefer::Adaptive),
    ];

    const fn number(self) -> u8 {
        match self {
            Self::Iroh => 0,
            Self::Grpc => 1,
            Self::Both(Prefer::Iroh) => 2,
            Self::Both(Prefer::Grpc) => 3,
            Self::Both(Prefer::Adaptive) => 4,
        }
    }
}

impl Default for Carry {
    /// Both, iroh preferred.
    fn default() -> Self {
        Self::Both(Prefer::default())
    }
}

/// Which transports carry which service, and which of them clients prefer.
///
/// On a server it is a rule: a service answers new calls on a transport that does not carry it with `UNAVAILABLE`, not accepted, and
/// says which transport does; clients follow. On a client it is where calls begin. So a service is moved by changing the server's
/// strategy alone; a client whose own says otherwise makes a detour now and then, and loses nothing.
///
/// ```
/// use blixard_rpc::runner::{Carry, MigrationStrategy, Prefer};
///
/// let strategy = MigrationStrategy::new(Carry::Both(Prefer::Iroh))
///     .service("demo.v1.Billing", Carry::Grpc)
///     .service("demo.v1.Search", Carry::Both(Prefer::Adaptive));
/// assert_eq!(strategy.of("demo.v1.Billing"), Carry::Grpc);
/// assert_eq!(strategy.of("demo.v1.Greeter"), Carry::Both(Prefer::Iroh));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MigrationStrategy {
    default: Carry,
    services: BTreeMap<String, Carry>,
}

impl MigrationStrategy {
    /// All services are carried so.
    #[must_use]
    pub const fn new(default: Carry) -> Self {
        Self {
            default,
            services: BTreeMap::new(),
        }
    }

    /// The service with this full name, such as `demo.v1.Greeter`, is carried so.
    #[must_use]
    pub fn service(mut self, name: impl Into<String>, carry: Carry) -> Self {
        self.services.insert(name.into(), carry);
        self
    }

    /// How the service with this full name is carried.
    ///
    /// gRPC's own services, `grpc.health.v1.Health` and what else begins with `grpc.`, speak of the server and not of what it is for:
    /// unless they are named, both transports carry them.
    #[must_use]
    pub fn of(&self, service: &str) -> Carry {
        match self.services.get(service) {
            Some(carry) => *carry,
            None if service.starts_with("grpc.") => Carry::Both(self.default.prefer()),
            None => self.default,
        }
    }

    /// How services are carried that are not named.
    #[must_use]
    pub const fn default_carry(&self) -> Carry {
        self.default
    }

    /// The services that are named, by name.
    pub fn services(&self) -> impl ExactSizeIterator<Item = (&str, Carry)> + '_ {
        self.services
            .iter()
            .map(|(name, carry)| (name.as_str(), *carry))
    }
}

/// The [`MigrationStrategy`] that holds now: changed by one, kept to by all that share it. A clone is another handle of the same.
///
/// The next call after [`set`](Self::set) keeps to it; calls in flight go on where they are.
#[derive(Clone)]
pub struct Migration(Arc<Shared>);

struct Shared {
    /// The carry of all services, unless they differ: all that most calls look at.
    hot: AtomicU8,
    strategy: watch::Sender<Arc<MigrationStrategy>>,
}

/// Not all services are carried alike.
const DIFFER: u8 = 1 << 7;

impl Migration {
    /// `strategy`, for now.
    #[must_use]
    pub fn new(strategy: MigrationStrategy) -> Self {
        Self(Arc::new(Shared {
            hot: AtomicU8::new(hot(&strategy)),
            strategy: watch::Sender::new(Arc::new(strategy)),
        }))
    }

    /// Changes it for everyone.
    pub fn set(&self, strategy: MigrationStrategy) {
        // Both while the lock is held, so that of two who set at once one wins in both.
        self.0.strategy.send_modify(|current| {
            self.0.hot.store(hot(&strategy), Ordering::Release);
            *current = Arc::new(strategy);
        });
    }

    /// The one that holds now.
    #[must_use]
    pub fn current(&self) -> Arc<MigrationStrategy> {
        Arc::clone(&self.0.strategy.borrow())
    }

    /// Tells of every change from now on.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<MigrationStrategy>> {
        self.0.strategy.subscribe()
    }

    /// Whether clients are to prefer, for some service, what answers sooner.
    pub(super) fn compares(&self) -> bool {
        let strategy = self.0.strategy.borrow();
        strategy
            .services
            .values()
            .chain([&strategy.default])
            .any(|carry| carry.prefer() == Prefer::Adaptive)
    }

    /// How the service with this full name is carried now. `service` is asked for only if they differ.
    pub(super) fn of<'a>(&self, service: impl FnOnce() -> &'a str) -> Carry {
        let hot = self.0.hot.load(Ordering::Acquire);
        if hot & DIFFER != 0 {
            return self.0.strategy.borrow().of(service());
        }
        Carry::ALL[usize::from(hot)]
    }
}

fn hot(strategy: &MigrationStrategy) -> u8 {
    // gRPC's own services are carried by both.
    let alike = strategy.services.is_empty() && matches!(strategy.default, Carry::Both(_));
    strategy.default.number() | if alike { 0 } else { DIFFER }
}

impl Default for Migration {
    /// All services on both transports, iroh preferred.
    fn default() -> Self {
        Self::new(MigrationStrategy::default())
    }
}

impl fmt::Debug for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Migration").field(&self.current()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_carry_comes_back_from_its_number() {
        for carry in Carry::ALL {
            let migration = Migration::new(MigrationStrategy::new(carry));
            assert_eq!(migration.of(|| "a.B"), carry);
            assert_eq!(Carry::ALL[usize::from(carry.number())], carry);
        }
    }

    #[test]
    fn a_change_holds_for_every_handle_at_once() {
        let migration = Migration::default();
        let other = migration.clone();
        let mut changes = other.subscribe();
        assert_eq!(other.of(|| "a.B"), Carry::default());
        let strategy = MigrationStrategy::new(Carry::Grpc).service("a.B", Carry::Iroh);
        migration.set(strategy.clone());
        assert_eq!(other.of(|| "a.B"), Carry::Iroh);
        assert_eq!(other.of(|| "a.C"), Carry::Grpc);
        assert!(changes.has_changed().unwrap());
        assert_eq!(**changes.borrow_and_update(), strategy);
        migration.set(MigrationStrategy::default());
        assert_eq!(other.of(|| unreachable!("all are alike")), Carry::default());
    }

    #[test]
    fn the_services_of_grpc_itself_are_carried_by_both_unless_they_are_named() {
        let health = "grpc.health.v1.Health";
        let strategy = MigrationStrategy::new(Carry::Iroh);
        assert_eq!(strategy.of(health), Carry::Both(Prefer::Iroh));
        assert_eq!(
            strategy.service(health, Carry::Grpc).of(health),
            Carry::Grpc
        );
    }

    #[test]
    fn somebody_wants_what_is_faster() {
        let migration = Migration::default();
        assert!(!migration.compares());
        let adaptive = Carry::Both(Prefer::Adaptive);
        for strategy in [
            MigrationStrategy::new(adaptive),
            MigrationStrategy::default().service("a.B", adaptive),
        ] {
            migration.set(strategy);
            assert!(migration.compares());
        }
    }

    #[test]
    fn what_carries_and_what_is_preferred() {
        for (carry, on, prefer) in [
            (Carry::Iroh, [true, false], Prefer::Iroh),
            (Carry::Grpc, [false, true], Prefer::Grpc),
            (
                Carry::Both(Prefer::Adaptive),
                [true, true],
                Prefer::Adaptive,
            ),
        ] {
            assert_eq!(Transport::ALL.map(|transport| carry.on(transport)), on);
            assert_eq!(carry.prefer(), prefer);
        }
    }
}
