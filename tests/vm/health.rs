//! Health checks of machines that run, and recovery of those that fail.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use blixard_services::vm::{
    Cause, Change, DesiredState, HealthCheck, Probe, RecoveryPolicy, VmHealth, VmState, Vms,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::node::{Node, Terminal, kill, nano, until, until_it};

fn change() -> Change {
    Change::default()
}

fn check(name: &str, probe: Probe) -> HealthCheck {
    HealthCheck {
        name: name.into(),
        probe,
        interval: Duration::from_millis(20),
        timeout: Duration::from_millis(2000),
        failures: 2,
        successes: 1,
        disabled: false,
    }
}

/// Each probe finds what is well and what is not.
#[tokio::test]
async fn every_probe_says_well_and_not_well() {
    let Some(node) = Node::new().await else {
        return;
    };
    let vms = &node.vms;
    node.running("a").await;
    let (served, status) = served().await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let open = listener.local_addr().unwrap().to_string();
    let probes = [
        ("process", Probe::Process),
        ("tcp", Probe::Tcp { address: open }),
        (
            "boot",
            Probe::Console {
                send: String::new(),
                pattern: "READY".into(),
            },
        ),
        (
            "ping",
            Probe::Console {
                send: "p".into(),
                pattern: "PONG".into(),
            },
        ),
        (
            "http",
            Probe::Http {
                address: served,
                path: "/health".into(),
            },
        ),
    ];
    for (name, probe) in probes.clone() {
        let mut check = check(name, probe);
        check.timeout = Duration::from_millis(500);
        vms.add_health_check("a".into(), check, change())
            .await
            .unwrap();
    }
    let well = until_it(vms, "a", |vm| vm.health == VmHealth::Healthy).await;
    assert_eq!(well.health_checks.len(), probes.len());

    let of = |name: &'static str, health| {
        until_it(vms, "a", move |vm| {
            vm.health_checks
                .iter()
                .any(|it| it.check.name == name && it.health == health)
        })
    };
    status.store(503, Ordering::Relaxed);
    let vm = of("http", VmHealth::Unhealthy).await;
    assert_eq!(vm.health, VmHealth::Unhealthy);
    let said = &vm
        .health_checks
        .iter()
        .find(|it| it.check.name == "http")
        .unwrap()
        .message;
    assert!(said.contains("503"), "{said}");
    assert_eq!(vm.state, VmState::Running, "there is no policy");
    status.store(302, Ordering::Relaxed);
    of("http", VmHealth::Healthy).await;
    drop(listener);
    of("tcp", VmHealth::Unhealthy).await;
    vms.enable_health_check("a".into(), "tcp".into(), false, change())
        .await
        .unwrap();
    until_it(vms, "a", |vm| vm.health == VmHealth::Healthy).await;
    let terminal = Terminal::of(vms, "a").await;
    terminal.send("h").await;
    of("ping", VmHealth::Unhealthy).await;

    // They rest while it does not run.
    vms.pause("a".into(), change()).await.unwrap();
    let held = until(vms, "a", VmState::Paused).await;
    assert_eq!(held.health, VmHealth::Unspecified);
    vms.resume("a".into(), change()).await.unwrap();
    of("process", VmHealth::Healthy).await;
    vms.stop("a".into(), Some(Duration::ZERO), change())
        .await
        .unwrap();
    let stopped = until(vms, "a", VmState::Stopped).await;
    assert!(
        stopped
            .health_checks
            .iter()
            .all(|it| it.health == VmHealth::Unspecified)
    );
}

/// A server that answers with this status.
async fn served() -> (String, Arc<AtomicU16>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let status = Arc::new(AtomicU16::new(200));
    let answers = Arc::clone(&status);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 1024];
            // A check that rests by now has dropped its connection.
            let Ok(read @ 1..) = stream.read(&mut request).await else {
                continue;
            };
            assert!(request[..read].starts_with(b"GET /health HTTP/1.1\r\n"));
            let status = answers.load(Ordering::Relaxed);
            let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
            // Who asked may have given up.
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (address, status)
}

#[tokio::test]
async fn what_fails_is_started_again_so_many_times() {
    let Some(node) = Node::new().await else {
        return;
    };
    let vms = &node.vms;
    vms.create("a".into(), nano(), change()).await.unwrap();
    let policy = RecoveryPolicy {
        attempts: 2,
        delay: Duration::from_millis(10),
        ..RecoveryPolicy::default()
    };
    vms.set_recovery("a".into(), Some(policy), change())
        .await
        .unwrap();
    vms.start("a".into(), change()).await.unwrap();
    for turn in 0..3_u32 {
        let vm = until_it(vms, "a", move |vm| {
            vm.state == VmState::Running && vm.recoveries == turn
        })
        .await;
        kill(vm.process.unwrap().pid as i32);
        until_it(vms, "a", move |vm| {
            vm.state != VmState::Running || vm.recoveries > turn
        })
        .await;
    }
    let failed = until(vms, "a", VmState::Failed).await;
    assert_eq!(
        (failed.recoveries, failed.desired),
        (2, DesiredState::Running)
    );
    // A guest that powers itself off is not started again, and a start begins the count anew.
    vms.start("a".into(), change()).await.unwrap();
    let vm = until(vms, "a", VmState::Running).await;
    assert_eq!(vm.recoveries, 0);
    let mut terminal = Terminal::of(vms, "a").await;
    terminal.expect("READY").await;
    terminal.send("o").await;
    let stopped = until(vms, "a", VmState::Stopped).await;
    assert_eq!(stopped.desired, DesiredState::Stopped);
}

#[tokio::test]
async fn what_is_unhealthy_is_started_again_and_a_stop_ends_that() {
    let Some(node) = Node::new().await else {
        return;
    };
    let vms = &node.vms;
    vms.create("a".into(), nano(), change()).await.unwrap();
    let policy = RecoveryPolicy {
        attempts: 10,
        delay: Duration::from_millis(10),
        well_after: Duration::from_millis(300),
        ..RecoveryPolicy::default()
    };
    vms.set_recovery("a".into(), Some(policy), change())
        .await
        .unwrap();
    let mut ping = check(
        "ping",
        Probe::Console {
            send: "p".into(),
            pattern: "PONG".into(),
        },
    );
    ping.timeout = Duration::from_millis(1000);
    vms.add_health_check("a".into(), ping, change())
        .await
        .unwrap();
    let before = node.running("a").await;
    let mut terminal = Terminal::of(vms, "a").await;
    terminal.expect("READY").await;
    until_it(vms, "a", |vm| vm.health == VmHealth::Healthy).await;
    let mut events = vms.watch(Some(before.version)).await.unwrap();
    terminal.send("h").await;
    let process = before.process.clone();
    let after = until_it(vms, "a", move |vm| {
        vm.state == VmState::Running && vm.process != process
    })
    .await;
    assert_eq!(after.recoveries, 1);
    let why = loop {
        let event = events.next().await.unwrap().unwrap().event;
        if let blixard_services::vm::VmEvent::Changed(vm) = event
            && vm.state == VmState::Failed
        {
            break vm.reason.unwrap();
        }
    };
    assert_eq!(why.cause, Cause::Unhealthy);
    assert!(why.message.contains("ping"), "{}", why.message);
    // It is well again after a while.
    until_it(vms, "a", |vm| vm.recoveries == 0).await;

    // One that waits for its recovery is stopped for good.
    let later = RecoveryPolicy {
        attempts: 10,
        delay: Duration::from_millis(500),
        ..RecoveryPolicy::default()
    };
    vms.set_recovery("a".into(), Some(later), change())
        .await
        .unwrap();
    loop {
        let vm = until(vms, "a", VmState::Running).await;
        kill(vm.process.unwrap().pid as i32);
        until(vms, "a", VmState::Failed).await;
        let zero = Some(Duration::ZERO);
        let stopped = vms.stop("a".into(), zero, change()).await.unwrap();
        assert!(stopped.changed);
        assert_eq!(stopped.vm.desired, DesiredState::Stopped);
        if stopped.vm.state == VmState::Failed {
            break;
        }
        // This machine is so busy that the recovery came first.
        until(vms, "a", VmState::Stopped).await;
        vms.start("a".into(), change()).await.unwrap();
    }
    let node = node.again().await;
    let vm = node.vms.get("a".into()).await.unwrap().vm;
    let mut events = node.vms.watch(Some(vm.version)).await.unwrap();
    let more = tokio::time::timeout(Duration::from_millis(700), events.next()).await;
    assert!(more.is_err(), "{more:?}");
}

/// What was said once stays said: neither a pause nor a new daemon, which did not hear it, has a machine restarted that is well.
#[tokio::test]
async fn what_is_said_once_is_heard_for_as_long_as_the_process_lives() {
    let Some(node) = Node::new().await else {
        return;
    };
    let once = |name: &str, pattern: &str| {
        let pattern = pattern.into();
        let send = String::new();
        let mut check = check(name, Probe::Console { send, pattern });
        check.timeout = Duration::from_millis(10);
        check
    };
    // It says that it is well only after any of the others would have failed.
    let slow = |name: &str| HealthCheck {
        successes: 30,
        ..check(name, Probe::Process)
    };
    let change = Change::default;
    let healths = |vm: &blixard_services::vm::Vm| {
        let all = vm.health_checks.iter();
        all.map(|it| (it.check.name.clone(), it.health))
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    let well = |name: &'static str| {
        move |vm: &blixard_services::vm::Vm| {
            let mut all = vm.health_checks.iter();
            all.any(|it| it.check.name == name && it.health == VmHealth::Healthy)
        }
    };
    let a = || "a".to_owned();
    let mut before = node.running("a").await;
    Terminal::of(&node.vms, "a").await.expect("READY").await;
    let add = async |node: &Node, check| {
        node.vms
            .add_health_check(a(), check, change())
            .await
            .unwrap();
    };
    add(&node, once("boot", "READY")).await;
    until_it(&node.vms, "a", well("boot")).await;
    let policy = RecoveryPolicy {
        attempts: 5,
        ..RecoveryPolicy::default()
    };
    node.vms
        .set_recovery(a(), Some(policy), change())
        .await
        .unwrap();
    node.vms.pause(a(), change()).await.unwrap();
    until(&node.vms, "a", VmState::Paused).await;
    node.vms.resume(a(), change()).await.unwrap();
    until(&node.vms, "a", VmState::Running).await;
    until_it(&node.vms, "a", well("boot")).await;

    let node = node.again().await;
    // It was said before, and this daemon cannot know that.
    add(&node, once("late", "READY")).await;
    add(&node, once("later", "PONG")).await;
    add(&node, slow("slow")).await;
    let after = until_it(&node.vms, "a", well("slow")).await;
    assert_eq!(after.process, before.process, "it was not started again");
    assert_eq!(healths(&after)["boot"], VmHealth::Healthy);
    assert_eq!(healths(&after)["late"], VmHealth::Unspecified);
    assert_eq!(healths(&after)["later"], VmHealth::Unspecified);
    let mut terminal = Terminal::of(&node.vms, "a").await;
    terminal.send("p").await;
    terminal.expect("PONG").await;
    until_it(&node.vms, "a", well("later")).await;

    // What is started anew is to say it anew; what it does not say fails.
    before = until(&node.vms, "a", VmState::Running).await;
    node.vms.set_recovery(a(), None, change()).await.unwrap();
    let zero = Some(Duration::ZERO);
    node.vms.restart(a(), zero, change()).await.unwrap();
    let process = before.process.clone();
    let vm = until_it(&node.vms, "a", move |vm| {
        vm.state == VmState::Running && vm.process != process
    });
    assert_eq!(healths(&vm.await)["boot"], VmHealth::Unspecified);
    until_it(&node.vms, "a", well("late")).await;
    until_it(&node.vms, "a", |vm| {
        let mut all = vm.health_checks.iter();
        all.any(|it| it.check.name == "later" && it.health == VmHealth::Unhealthy)
    })
    .await;
}
