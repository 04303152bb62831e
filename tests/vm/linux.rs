//! A real Linux, made of Debian's packages by `.ci/guest-linux`: it starts, is asked by its agent, goes to another node and back, and obeys
//! its power button.

use std::{
    fs,
    time::{Duration, Instant},
};

use blixard_services::vm::{
    Cause, Change, HealthCheck, KernelBoot, MigrationMode, Probe, VmHealth, VmSpec, VmState, Vms,
};
use blixard_tests::{net::soon, tools::find};

use crate::{
    migrate::{Pair, migrate, until_moved},
    node::{Folder, Terminal, until, until_it},
};

/// Five times what is asked for.
const STARTS_WITHIN: Duration = Duration::from_secs(50);
const HELD_AT_MOST: Duration = Duration::from_millis(1500);

fn linux() -> VmSpec {
    VmSpec {
        cpus: 1,
        memory_bytes: 256 << 20,
        kernel: Some(KernelBoot {
            kernel: "vmlinuz".into(),
            initrd: "initrd".into(),
            command_line: "console=ttyS0 quiet panic=-1 mitigations=off nokaslr cryptomgr.notests"
                .into(),
        }),
        ..VmSpec::default()
    }
}

fn check(name: &str, command: &[&str]) -> HealthCheck {
    let [program, arguments @ ..] = command else {
        panic!("it has a program");
    };
    HealthCheck {
        name: name.into(),
        probe: Probe::Guest {
            program: (*program).into(),
            arguments: arguments.iter().map(|&it| it.to_owned()).collect(),
        },
        interval: Duration::from_millis(200),
        timeout: Duration::from_secs(10),
        failures: 1,
        successes: 1,
        disabled: false,
    }
}

fn change() -> Change {
    Change::default()
}

#[tokio::test]
async fn a_real_guest_starts_answers_by_its_agent_goes_away_and_comes_back() {
    let Some(made) = find("GUEST_LINUX", "guest-linux") else {
        return;
    };
    let with_linux = |folder: &Folder| {
        for file in ["vmlinuz", "initrd"] {
            fs::copy(made.join(file), folder.0.join("images").join(file)).unwrap();
        }
        folder.config()
    };
    let Some(pair) = Pair::with(with_linux).await else {
        return;
    };
    let (a, b) = (&pair.a, &pair.b);
    with_linux(&a.folder);
    let vms = &a.vms;
    soon(vms.create("linux".into(), linux(), change()))
        .await
        .unwrap();
    let began = Instant::now();
    soon(vms.start("linux".into(), change())).await.unwrap();
    until(vms, "linux", VmState::Running).await;
    let mut terminal = Terminal::of(vms, "linux").await;
    terminal.expect("READY").await;
    let took = began.elapsed();
    println!("Linux is READY after {took:?}");
    assert!(took < STARTS_WITHIN, "{took:?}");

    let mut hangs = check("hangs", &["/bin/sleep", "1000000"]);
    hangs.timeout = Duration::from_millis(500);
    for check in [
        check("good", &["/bin/true"]),
        check(
            "bad",
            &["/bin/sh", "-c", "echo out; echo of order >&2; exit 3"],
        ),
        check("loud", &["/bin/sh", "-c", "yes | head -c 300000"]),
        check("missing", &["/bin/missing"]),
        hangs,
    ] {
        let added = vms.add_health_check("linux".into(), check, change());
        soon(added).await.unwrap();
    }
    let said = async |name: &'static str, expected: &'static [&'static str]| {
        let holds = |vm: &blixard_services::vm::Vm| {
            let mut checks = vm.health_checks.iter();
            let status = checks.find(|it| it.check.name == name).unwrap();
            match expected {
                [] => status.health == VmHealth::Healthy,
                expected => {
                    status.health == VmHealth::Unhealthy
                        && expected.iter().any(|part| status.message.contains(part))
                }
            }
        };
        until_it(vms, "linux", holds).await
    };
    said("good", &[]).await;
    said("bad", &["ended with code 3; it said: out\\nof order"]).await;
    said("loud", &["more than a health check reads"]).await;
    said("missing", &["No such file"]).await;
    // Whatever it waits for, there is only one of them in the guest.
    said("hangs", &["nothing came within", "has not ended"]).await;
    for name in ["bad", "loud", "missing", "hangs"] {
        let removed = vms.remove_health_check("linux".into(), name.into(), change());
        soon(removed).await.unwrap();
    }
    let mut held = Vec::new();
    for turn in 0..4 {
        let (from, to, name) = [(a, b, "b"), (b, a, "a")][turn % 2];
        let mut events = soon(from.vms.watch(None)).await.unwrap();
        migrate(from, "linux", name, MigrationMode::Live).await;
        let (_, moved) = until_moved(&mut events).await;
        held.push(moved.held.unwrap());
        // Its agent answers there as well.
        until_it(&to.vms, "linux", |vm| vm.health == VmHealth::Healthy).await;
        let mut terminal = Terminal::of(&to.vms, "linux").await;
        terminal.send("echo $((6*7))-is-it\n").await;
        terminal.expect("42-is-it").await;
    }
    held.sort();
    println!("Linux with 256 MiB is held for {held:?} at most");
    assert!(held[1] < HELD_AT_MOST, "{held:?}");

    let minute = Some(Duration::from_secs(60));
    soon(vms.stop("linux".into(), minute, change()))
        .await
        .unwrap();
    let stopped = until(vms, "linux", VmState::Stopped).await;
    assert_eq!(stopped.reason.unwrap().cause, Cause::Requested);
}
