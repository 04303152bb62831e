//! The table of every state and every request; what is seen in every state; walks at random.

use std::collections::BTreeSet;

use blixard_rpc::Code;

use super::*;

const STATES: [VmState; 10] = [
    VmState::Unspecified,
    Created,
    Starting,
    Running,
    Stopping,
    Stopped,
    Failed,
    Paused,
    Migrating,
    Deleting,
];
const GRACE: Duration = Duration::from_secs(5);

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
}

fn life(state: VmState, desired: DesiredState) -> Life {
    let mut life = Life::new(at(0));
    life.state = state;
    life.desired = desired;
    if state == Stopping {
        life.plan(GRACE, at(0));
    }
    life
}

fn because(cause: Cause) -> Reason {
    Reason {
        cause,
        message: "so".into(),
    }
}

/// What a request does in a state that is as it is wanted to be: the state and what is wanted after it, or nothing to change (`=`), or
/// a refusal (`-`).
#[test]
fn every_request_in_every_state() {
    use DesiredState as D;
    // The rows: start, stop, pause, resume, restart, delete, delete by force.
    let requests = [
        Request::Start,
        Request::Stop(GRACE),
        Request::Pause,
        Request::Resume,
        Request::Restart(GRACE),
        Request::Delete { force: false },
        Request::Delete { force: true },
    ];
    let table: [(VmState, D, [&str; 7]); 17] = [
        (
            VmState::Unspecified,
            D::Running,
            [
                "-",
                "Stopping Stopped",
                "-",
                "-",
                "-",
                "-",
                "Stopping Deleted",
            ],
        ),
        (
            Created,
            D::Stopped,
            [
                "Starting Running",
                "=",
                "-",
                "-",
                "-",
                "Deleting Deleted",
                "Deleting Deleted",
            ],
        ),
        (
            Starting,
            D::Running,
            [
                "=",
                "Starting Stopped",
                "-",
                "-",
                "-",
                "-",
                "Starting Deleted",
            ],
        ),
        (
            Starting,
            D::Stopped,
            ["-", "+", "-", "-", "-", "-", "Starting Deleted"],
        ),
        (
            Running,
            D::Running,
            [
                "=",
                "Stopping Stopped",
                "Running Paused",
                "=",
                "Stopping Running",
                "-",
                "Stopping Deleted",
            ],
        ),
        (
            Running,
            D::Paused,
            [
                "-",
                "Stopping Stopped",
                "=",
                "Running Running",
                "Stopping Running",
                "-",
                "Stopping Deleted",
            ],
        ),
        (
            Stopping,
            D::Stopped,
            ["-", "=", "-", "-", "-", "-", "Stopping Deleted"],
        ),
        (
            Stopping,
            D::Running,
            [
                "=",
                "Stopping Stopped",
                "-",
                "-",
                "=",
                "-",
                "Stopping Deleted",
            ],
        ),
        (
            Stopped,
            D::Stopped,
            [
                "Starting Running",
                "=",
                "-",
                "-",
                "-",
                "Deleting Deleted",
                "Deleting Deleted",
            ],
        ),
        (Stopping, Deleted, ["-", "-", "-", "-", "-", "=", "="]),
        (
            Failed,
            D::Running,
            [
                "Starting Running",
                "Failed Stopped",
                "-",
                "-",
                "-",
                "Deleting Deleted",
                "Deleting Deleted",
            ],
        ),
        (
            Failed,
            D::Stopped,
            [
                "Starting Running",
                "=",
                "-",
                "-",
                "-",
                "Deleting Deleted",
                "Deleting Deleted",
            ],
        ),
        (Failed, Deleted, ["-", "-", "-", "-", "-", "=", "="]),
        (
            Paused,
            D::Paused,
            [
                "-",
                "Stopping Stopped",
                "=",
                "Paused Running",
                "Stopping Running",
                "-",
                "Stopping Deleted",
            ],
        ),
        (
            Paused,
            D::Running,
            [
                "-",
                "Stopping Stopped",
                "Paused Paused",
                "=",
                "Stopping Running",
                "-",
                "Stopping Deleted",
            ],
        ),
        (Migrating, D::Running, ["-", "-", "-", "-", "-", "-", "-"]),
        (Deleting, Deleted, ["-", "-", "-", "-", "-", "=", "="]),
    ];
    let covered: BTreeSet<VmState> = table.iter().map(|row| row.0).collect();
    assert_eq!(covered, BTreeSet::from(STATES));
    for (state, desired, expected) in table {
        for (request, expected) in requests.into_iter().zip(expected) {
            let before = life(state, desired);
            let mut after = before.clone();
            let found = match after.request(request, at(0)) {
                Ok(false) => "=".to_owned(),
                Ok(true) if (after.state, after.desired) == (state, desired) => "+".to_owned(),
                Ok(true) => format!("{:?} {:?}", after.state, after.desired),
                Err(status) => {
                    assert_eq!(status.code(), Code::FailedPrecondition);
                    assert!(!status.message().is_empty());
                    "-".to_owned()
                }
            };
            assert_eq!(
                found, expected,
                "{request:?} in {state:?}, wanted {desired:?}"
            );
            if matches!(expected, "=" | "-") {
                assert_eq!(before, after, "{request:?} in {state:?}");
            }
        }
    }
}

#[test]
fn a_guest_that_powers_off_has_stopped_and_one_that_crashes_has_failed() {
    for state in [Running, Paused] {
        let mut life = life(state, DesiredState::Running);
        assert!(life.observe(
            Observation::Ended(because(Cause::GuestShutdown)),
            None,
            at(1)
        ));
        assert_eq!(
            (life.state, life.desired),
            (Stopping, DesiredState::Stopped)
        );
        assert!(life.observe(Observation::Gone(because(Cause::Killed)), None, at(1)));
        assert_eq!(life.state, Stopped);
        assert_eq!(life.reason, Some(because(Cause::GuestShutdown)));
    }
    for cause in [
        Cause::GuestPanic,
        Cause::GuestReset,
        Cause::Killed,
        Cause::Lost,
    ] {
        for state in STATES {
            let mut life = life(state, DesiredState::Running);
            let active = life.is_active() && state != Stopping;
            assert_eq!(
                life.observe(Observation::Gone(because(cause)), None, at(1)),
                active || state == Stopping
            );
            if active {
                assert_eq!((life.state, &life.reason), (Failed, &Some(because(cause))));
                assert_eq!(life.action(), None, "there is no policy");
            }
        }
    }
}

/// Who asks to resume before it is seen that it is held has not been overtaken by that.
#[test]
fn what_was_asked_for_last_counts_and_what_nobody_asked_for_stays() {
    let mut life = life(Running, DesiredState::Running);
    life.request(Request::Pause, at(0)).unwrap();
    life.request(Request::Resume, at(0)).unwrap();
    assert!(life.observe(Observation::Paused(None), None, at(1)));
    assert_eq!((life.state, life.action()), (Paused, Some(Action::Resume)));
    life.observe(Observation::Running, None, at(1));
    assert!(life.observe(Observation::Paused(Some("a disk".into())), None, at(2)));
    assert_eq!((life.state, life.action()), (Paused, None));
    assert_eq!(life.reason.as_ref().unwrap().cause, Cause::Hypervisor);
    assert!(life.request(Request::Resume, at(3)).unwrap());
    assert_eq!(life.action(), Some(Action::Resume));
}

#[test]
fn a_stop_has_phases() {
    let plan = StopPlan {
        began: at(10),
        grace: GRACE,
    };
    let quit = QUIT_TIME;
    assert_eq!(plan.phase(at(10)), (StopPhase::PowerButton, Some(GRACE)));
    assert_eq!(
        plan.phase(at(14)),
        (StopPhase::PowerButton, Some(GRACE - Duration::from_secs(4)))
    );
    assert_eq!(plan.phase(at(15)), (StopPhase::Quit, Some(quit)));
    assert_eq!(plan.phase(at(16)), (StopPhase::Kill, None));
    assert_eq!(plan.phase(at(0)), (StopPhase::PowerButton, Some(GRACE)));
    let now = StopPlan {
        began: at(10),
        grace: Duration::ZERO,
    };
    assert_eq!(now.phase(at(10)), (StopPhase::Quit, Some(quit)));
}

#[test]
fn a_shorter_grace_counts_and_a_longer_one_does_not() {
    let mut life = life(Running, DesiredState::Running);
    assert!(life.request(Request::Stop(GRACE), at(0)).unwrap());
    assert!(!life.request(Request::Stop(GRACE * 2), at(0)).unwrap());
    assert!(life.request(Request::Stop(Duration::ZERO), at(1)).unwrap());
    assert_eq!(life.stop.unwrap().phase(at(1)).0, StopPhase::Quit);
    assert!(
        life.request(Request::Delete { force: true }, at(1))
            .unwrap()
    );
    // A time that no one waits for is no way out of the calendar.
    let mut life = self::life(Running, DesiredState::Running);
    life.request(Request::Stop(Duration::MAX), at(0)).unwrap();
    assert_eq!(life.stop.unwrap().grace, MAX_GRACE);
}

#[test]
fn a_stop_while_it_starts_stops_it_when_it_runs() {
    let mut life = life(Created, DesiredState::Stopped);
    life.request(Request::Start, at(0)).unwrap();
    life.request(Request::Stop(GRACE), at(1)).unwrap();
    assert_eq!(life.action(), Some(Action::Launch));
    life.observe(Observation::Running, None, at(2));
    assert!(life.settle(at(2)));
    assert_eq!(life.state, Stopping);
    assert_eq!(life.stop.unwrap().grace, GRACE, "and not the usual one");
    assert!(!life.settle(at(2)));
}

#[test]
fn recovery_waits_longer_each_time_and_a_stop_ends_it() {
    let policy = RecoveryPolicy {
        attempts: 4,
        delay: Duration::from_secs(1),
        backoff: 3,
        max_delay: Duration::from_secs(10),
        well_after: Duration::from_secs(60),
    };
    let mut life = life(Running, DesiredState::Running);
    for wait in [1, 3, 9, 10] {
        assert!(life.observe(
            Observation::Gone(because(Cause::Killed)),
            Some(&policy),
            at(0)
        ));
        assert_eq!(life.action(), Some(Action::Recover(at(wait))));
        let mut stopped = life.clone();
        assert!(stopped.request(Request::Stop(GRACE), at(0)).unwrap());
        assert_eq!((stopped.state, stopped.action()), (Failed, None));
        assert!(!stopped.observe(Observation::RecoveryDue, Some(&policy), at(wait)));
        assert!(
            !life
                .clone()
                .observe(Observation::RecoveryDue, Some(&policy), at(wait - 1))
                || wait == 0
        );
        assert!(life.observe(Observation::RecoveryDue, Some(&policy), at(wait)));
        assert_eq!(life.action(), Some(Action::Launch));
        assert!(life.observe(Observation::Running, Some(&policy), at(wait)));
    }
    let mut spent = life.clone();
    spent.observe(
        Observation::Gone(because(Cause::Killed)),
        Some(&policy),
        at(0),
    );
    assert_eq!((spent.state, spent.action()), (Failed, None));
    // One that was well begins anew.
    assert!(life.observe(Observation::Well, Some(&policy), at(0)));
    life.observe(
        Observation::Gone(because(Cause::Killed)),
        Some(&policy),
        at(0),
    );
    assert_eq!(life.action(), Some(Action::Recover(at(1))));
    // And a user's start as well.
    assert!(spent.request(Request::Start, at(0)).unwrap());
    assert_eq!(spent.recoveries, 0);
}

#[test]
fn delays_stay_within_their_cap() {
    let policy = RecoveryPolicy {
        attempts: u32::MAX,
        delay: Duration::from_secs(u64::MAX / 2),
        backoff: u32::MAX,
        ..RecoveryPolicy::default()
    };
    for done in [0, 1, 7, u32::MAX - 1] {
        assert_eq!(delay(&policy, done), Some(Duration::from_secs(300)));
    }
    assert_eq!(delay(&policy, u32::MAX), None);
    assert_eq!(delay(&RecoveryPolicy::default(), 0), None);
}

fn migration(mode: MigrationMode) -> Migration {
    Migration {
        id: "m".into(),
        node: "there".into(),
        mode,
        ..Migration::default()
    }
}

#[test]
fn what_can_go_goes_live_if_it_runs_and_cold_if_it_does_not() {
    use DesiredState as D;
    use MigrationMode::{Cold, Live, Unspecified};
    // The rows: what becomes of one that is asked to go somehow, live, cold; `-` is a refusal.
    let table = [
        (Running, D::Running, ["live", "live", "-"]),
        (Created, D::Stopped, ["cold", "-", "cold"]),
        (Stopped, D::Stopped, ["cold", "-", "cold"]),
        (Failed, D::Stopped, ["cold", "-", "cold"]),
        (Failed, D::Running, ["cold", "-", "cold"]),
        (Running, D::Paused, ["-", "-", "-"]),
        (Paused, D::Paused, ["-", "-", "-"]),
        (Starting, D::Running, ["-", "-", "-"]),
        (Stopping, D::Stopped, ["-", "-", "-"]),
        (Stopping, Deleted, ["-", "-", "-"]),
        (Deleting, Deleted, ["-", "-", "-"]),
        (VmState::Unspecified, D::Running, ["-", "-", "-"]),
        (Migrating, D::Running, ["-", "-", "-"]),
    ];
    for (state, desired, expected) in table {
        for (mode, expected) in [Unspecified, Live, Cold].into_iter().zip(expected) {
            let mut life = life(state, desired);
            let found = match life.migrate(migration(mode), at(1)) {
                Ok(changed) => {
                    assert!(changed && life.state == Migrating);
                    assert_eq!(life.action(), Some(Action::Send));
                    match life.migration.as_ref().unwrap().mode {
                        Live => "live",
                        _ => "cold",
                    }
                }
                Err(status) => {
                    assert_eq!(status.code(), Code::FailedPrecondition);
                    assert_eq!(life, self::life(state, desired));
                    "-"
                }
            };
            assert_eq!(found, expected, "{mode:?} in {state:?}, wanted {desired:?}");
        }
    }
    // One that is to be started again is not taken away under that.
    let mut waits = life(Failed, D::Running);
    waits.recover_at = Some(at(9));
    waits.migrate(migration(Cold), at(1)).unwrap_err();
}

/// Whoever sends has it until the other node has said that it has: nothing that is seen here meanwhile decides.
#[test]
fn what_was_offered_is_nobodys_until_the_other_node_has_said_so() {
    let mut life = life(Running, DesiredState::Running);
    assert!(life.migrate(migration(MigrationMode::Live), at(0)).unwrap());
    let again = migration(MigrationMode::Unspecified);
    assert!(!life.migrate(again, at(0)).unwrap(), "it is under way");
    let mut elsewhere = migration(MigrationMode::Live);
    elsewhere.node = "elsewhere".into();
    life.migrate(elsewhere, at(0)).unwrap_err();

    let mut cancelled = life.clone();
    assert!(cancelled.cancel_migration(false).unwrap());
    assert!(!cancelled.observe(Observation::Offered, None, at(1)));

    assert!(life.observe(Observation::Offered, None, at(1)));
    assert_eq!(life.action(), Some(Action::Ask));
    let before = life.clone();
    for seen in [
        Observation::Running,
        Observation::Paused(None),
        Observation::Ended(because(Cause::GuestShutdown)),
        Observation::Gone(because(Cause::Killed)),
        Observation::Unreachable("so".into()),
        Observation::Offered,
        Observation::Received,
        Observation::NotReceived("so".into()),
    ] {
        assert!(!life.observe(seen.clone(), None, at(2)), "{seen:?}");
    }
    assert!(!life.settle(at(2)));
    life.cancel_migration(false).unwrap_err();
    assert_eq!(life, before);
    assert!(life.cancel_migration(true).unwrap());
    assert!(life.observe(Observation::NotMoved("so".into()), None, at(3)));
    assert_eq!((life.state, life.migration.clone()), (Running, None));
    assert_eq!(life.reason.unwrap().cause, Cause::NotMoved);
}

#[test]
fn what_comes_is_here_when_it_was_received_and_not_before() {
    let receiving = || Life::receiving(migration(MigrationMode::Live), at(0));
    let mut life = receiving();
    assert_eq!(life.action(), Some(Action::Receive));
    for seen in [
        Observation::Running,
        Observation::Gone(because(Cause::Killed)),
        Observation::NotMoved("so".into()),
    ] {
        assert!(!life.observe(seen, None, at(1)));
    }
    assert!(life.observe(Observation::Received, None, at(1)));
    assert_eq!(life.action(), Some(Action::Resume));
    assert!(!life.observe(Observation::NotReceived("so".into()), None, at(1)));
    assert!(life.observe(Observation::Running, None, at(2)));
    assert_eq!((life.state, life.desired), (Running, DesiredState::Running));

    let mut ended = receiving();
    assert!(ended.observe(Observation::NotReceived("so".into()), None, at(1)));
    assert_eq!(ended.action(), Some(Action::Remove));
    assert!(!ended.observe(Observation::Received, None, at(2)));

    let mut cold = Life::receiving(migration(MigrationMode::Cold), at(0));
    assert!(cold.observe(Observation::Received, None, at(1)));
    assert_eq!((cold.state, cold.desired), (Stopped, DesiredState::Stopped));
    // One that came is lost like any other.
    let mut lost = receiving();
    lost.observe(Observation::Received, None, at(1));
    assert!(lost.observe(Observation::Gone(because(Cause::Killed)), None, at(2)));
    assert_eq!(lost.state, Failed);
}

/// A machine, its driver and the world, all at random: each step is one that there is, nothing is left without a way on, and what is
/// wanted comes about once nobody interferes any more.
#[test]
fn walks_at_random() {
    for seed in 0..2000_u64 {
        let mut random = Random(seed);
        let policy = (random.below(2) == 0).then_some(RecoveryPolicy {
            attempts: 3,
            delay: Duration::from_secs(2),
            ..RecoveryPolicy::default()
        });
        let mut now = 0;
        let mut life = Life::new(at(now));
        // Whether there is a process, as the driver knows it.
        let mut process = false;
        let mut gone = false;
        let mut seen = life.state;
        let mut step = |life: &Life| {
            let took = (seen, Some(life.state));
            assert!(
                seen == life.state || STEPS.contains(&took),
                "seed {seed}: {took:?}"
            );
            seen = life.state;
        };
        for turn in 0..80 {
            now += random.below(4);
            let calm = turn >= 60;
            if !calm && random.below(2) == 0 {
                let request = match random.below(7) {
                    0 => Request::Start,
                    1 => Request::Stop(Duration::from_secs(random.below(5))),
                    2 => Request::Pause,
                    3 => Request::Resume,
                    4 => Request::Restart(Duration::from_secs(random.below(5))),
                    // Rarely: it ends the walk.
                    _ => Request::Delete {
                        force: random.below(2) == 0,
                    },
                };
                if !matches!(request, Request::Delete { .. }) || random.below(8) == 0 {
                    let before = life.clone();
                    match life.request(request, at(now)) {
                        Ok(changed) => assert_eq!(changed, before != life, "seed {seed}"),
                        Err(_) => assert_eq!(before, life, "seed {seed}"),
                    }
                    step(&life);
                }
            }
            if !calm && random.below(8) == 0 {
                let before = life.clone();
                let asked = match random.below(3) {
                    0 => life.cancel_migration(random.below(2) == 0),
                    1 => life.migrate(migration(MigrationMode::Live), at(now)),
                    _ => life.migrate(migration(MigrationMode::Unspecified), at(now)),
                };
                match asked {
                    Ok(changed) => assert_eq!(changed, before != life, "seed {seed}"),
                    Err(_) => assert_eq!(before, life, "seed {seed}"),
                }
                step(&life);
            }
            while life.settle(at(now)) {
                step(&life);
            }
            // While it is on its way, what becomes of its process says nothing.
            if !calm && process && life.migration.is_none() && random.below(6) == 0 {
                let cause = [Cause::GuestShutdown, Cause::GuestPanic, Cause::Killed]
                    [random.below(3) as usize];
                life.observe(Observation::Ended(because(cause)), policy.as_ref(), at(now));
                step(&life);
                life.observe(Observation::Gone(because(cause)), policy.as_ref(), at(now));
                step(&life);
                process = false;
                continue;
            }
            let observation = match life.action() {
                Some(Action::Launch) => {
                    assert!(!process, "seed {seed}: started twice");
                    process = calm || random.below(5) > 0;
                    if process {
                        Observation::Running
                    } else {
                        Observation::Gone(because(Cause::StartFailed))
                    }
                }
                Some(Action::Pause) => Observation::Paused(None),
                Some(Action::Resume) => Observation::Running,
                Some(Action::Stop(plan)) => match plan.phase(at(now)) {
                    (StopPhase::Kill, _) => {
                        process = false;
                        Observation::Gone(because(Cause::Killed))
                    }
                    (_, next) => {
                        assert!(next.is_some());
                        now += 2;
                        continue;
                    }
                },
                Some(Action::Recover(when)) => {
                    while at(now) < when {
                        now += 1;
                    }
                    Observation::RecoveryDue
                }
                Some(Action::Send) if life.migration.as_ref().unwrap().cancelled => {
                    Observation::NotMoved("so".into())
                }
                Some(Action::Send) => match random.below(2) {
                    0 => Observation::Offered,
                    _ => Observation::NotMoved("so".into()),
                },
                Some(Action::Ask) if random.below(2) == 0 => {
                    gone = true;
                    break;
                }
                Some(Action::Ask) => Observation::NotMoved("so".into()),
                Some(Action::Receive) => panic!("seed {seed}: nobody sends it"),
                Some(Action::Remove) => {
                    assert!(!process, "seed {seed}: removed under a process");
                    break;
                }
                None => continue,
            };
            assert!(
                life.observe(observation, policy.as_ref(), at(now)),
                "seed {seed}: {life:?}"
            );
            step(&life);
        }
        if gone {
            continue;
        }
        while life.settle(at(now)) {}
        assert_eq!(process, life.is_active(), "seed {seed}: {life:?}");
        let wanted = match life.desired {
            DesiredState::Running => [Running, Failed].contains(&life.state),
            DesiredState::Stopped => [Created, Stopped, Failed].contains(&life.state),
            DesiredState::Paused => life.state == Paused,
            _ => life.state == Deleting,
        };
        assert!(wanted, "seed {seed}: {life:?}");
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}
