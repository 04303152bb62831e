//! Daemons and processes are killed at random moments while a machine goes from one node to the other: afterwards one node has it, it runs
//! there once, and what was acknowledged is there. The seed is printed; `BLIXARD_SEED` sets it, and `VM_KILLS` how often.

use std::{
    env, fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use blixard_rpc::Code;
use blixard_services::vm::{
    Change, HealthCheck, MigrationMode, Probe, RecoveryPolicy, Vm, VmState, Vms, VmsClient,
};
use blixard_tests::{net::soon, seed::Seed, tools::installed};
use tokio::time::{sleep, timeout};

use crate::{
    killed::Daemon,
    node::{Folder, QEMU, kill, long, nano, processes_below, until},
};

const NAME: &str = "web";

/// Two daemons in folders beside each other, where they find each other by a file.
struct Nodes {
    folder: Folder,
    daemons: [Option<Daemon>; 2],
}

impl Nodes {
    fn new() -> Self {
        let folder = Folder::new();
        for number in 0..2 {
            let images = folder.0.join(format!("{number}/images"));
            fs::create_dir_all(&images).unwrap();
            fs::copy(folder.0.join("images/nano.elf"), images.join("nano.elf")).unwrap();
        }
        let mut nodes = Self {
            folder,
            daemons: [None, None],
        };
        nodes.begin();
        nodes
    }

    fn folder(&self, number: usize) -> PathBuf {
        self.folder.0.join(number.to_string())
    }

    /// Begins those that are not there.
    fn begin(&mut self) {
        for number in 0..2 {
            if self.daemons[number].is_none() {
                let folder = self.folder(number);
                let (daemon, address) = Daemon::begin_by(Command::new("env"), &folder);
                // Whole or not at all.
                let written = self.folder.0.join("new");
                fs::write(&written, address.to_string()).unwrap();
                fs::rename(&written, self.folder.0.join(at(number))).unwrap();
                self.daemons[number] = Some(daemon);
            }
        }
    }

    fn vms(&self, number: usize) -> VmsClient {
        self.daemons[number].as_ref().unwrap().vms.clone()
    }

    fn kill(&mut self, number: usize) {
        if let Some(mut daemon) = self.daemons[number].take() {
            daemon.kill();
        }
    }

    fn kill_guests(&self, number: usize) {
        for pid in processes_below(&self.folder(number)) {
            kill(pid);
        }
    }

    /// The node that has the machine, which runs there once, and nowhere else is anything of it.
    async fn settled(&self) -> (usize, Vm) {
        let mut last = Vec::new();
        let settled = async {
            loop {
                let mut found = Vec::new();
                for number in 0..2 {
                    match soon(self.vms(number).get(NAME.into())).await {
                        Ok(response) => found.push((number, response.vm)),
                        Err(status) => assert_eq!(status.code(), Code::NotFound, "{status}"),
                    }
                }
                let processes = self.folder.processes();
                if let [(number, vm)] = &found[..]
                    && vm.state == VmState::Running
                    && let Some(process) = &vm.process
                    && processes == [process.pid as i32]
                {
                    return (*number, vm.clone());
                }
                last = found;
                sleep(Duration::from_millis(5)).await;
            }
        };
        match long(settled).await {
            Some(settled) => settled,
            None => panic!("{last:?}, and processes {:?}", self.folder.processes()),
        }
    }
}

/// By this name a node is known.
fn at(number: usize) -> String {
    format!("{number}.at")
}

fn check(name: &str) -> HealthCheck {
    HealthCheck {
        name: name.into(),
        probe: Probe::Process,
        // It never comes to it.
        interval: Duration::from_secs(3600),
        timeout: Duration::ZERO,
        failures: 0,
        successes: 0,
        disabled: false,
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Victim {
    Sender,
    Receiver,
    Both,
    SentGuest,
    ReceivedGuest,
    Nobody,
}

#[tokio::test]
async fn whoever_is_killed_on_the_way_one_node_has_the_machine_and_runs_it_once() {
    if !installed(QEMU) {
        return;
    }
    use Victim::{Both, Nobody, ReceivedGuest, Receiver, Sender, SentGuest};
    let kills: usize = env::var("VM_KILLS").map_or(18, |it| it.parse().unwrap());
    let mut seed = Seed::of_this_run();
    let mut nodes = Nodes::new();
    let vms = nodes.vms(0);
    let policy = RecoveryPolicy {
        attempts: u32::MAX,
        max_delay: Duration::from_millis(1),
        ..RecoveryPolicy::default()
    };
    soon(vms.create(NAME.into(), nano(), Change::default()))
        .await
        .unwrap();
    soon(vms.set_recovery(NAME.into(), Some(policy), Change::default()))
        .await
        .unwrap();
    soon(vms.start(NAME.into(), Change::default()))
        .await
        .unwrap();
    until(&vms, NAME, VmState::Running).await;

    let (mut moved, mut unclear) = (0, 0);
    let (mut from, mut before) = nodes.settled().await;
    // As long as a move takes: the moments of the kills are spread over it.
    let mut takes = Duration::from_millis(100);
    for turn in 0..kills {
        let victim = [Sender, Receiver, Both, SentGuest, ReceivedGuest, Nobody][turn % 6];
        let to = 1 - from;
        let vms = nodes.vms(from);
        let migrated = vms.migrate(NAME.into(), at(to), MigrationMode::Live, Change::default());
        let began = Instant::now();
        let mut version = soon(migrated).await.unwrap().vm.version;
        // While it goes, something else of it is changed, and may come too late.
        let name = format!("c{turn}");
        let after = Duration::from_micros(seed.within(0..takes.as_micros() as u64));
        let added = vms.add_health_check(NAME.into(), check(&name), Change::default());
        let added = timeout(after, added).await;
        if let Some(rest) = after.checked_sub(began.elapsed()) {
            sleep(rest).await;
        }
        match victim {
            Sender => nodes.kill(from),
            Receiver => nodes.kill(to),
            Both => {
                nodes.kill(from);
                nodes.kill(to);
            }
            SentGuest => nodes.kill_guests(from),
            ReceivedGuest => nodes.kill_guests(to),
            Nobody => {}
        }
        nodes.begin();
        let (now, vm) = nodes.settled().await;
        moved += usize::from(now != from);
        if victim == Nobody {
            assert_eq!(now, to, "nothing was in the way: {vm:?}");
            takes = began.elapsed();
        }
        let what = format!("{victim:?} was killed after {after:?}, turn {turn}: {vm:?}");
        let mut kept: Vec<&str> = before
            .health_checks
            .iter()
            .map(|it| &*it.check.name)
            .collect();
        match &added {
            Ok(Ok(added)) => {
                version = added.vm.version;
                kept.push(&name);
            }
            Ok(Err(status)) => {
                let expected = [Code::FailedPrecondition, Code::NotFound];
                assert!(expected.contains(&status.code()), "{status}");
            }
            Err(_) => unclear += 1,
        }
        let mut found: Vec<&str> = vm.health_checks.iter().map(|it| &*it.check.name).collect();
        if added.is_err() {
            found.retain(|found| *found != name);
        }
        assert_eq!(found, kept, "{what}");
        assert!(vm.version > version, "{what}");
        assert_eq!(vm.uuid, before.uuid, "{what}");
        assert_eq!(vm.recovery, Some(policy), "{what}");
        let restarts = vm.recoveries - before.recoveries;
        let guest_killed = matches!(victim, SentGuest | ReceivedGuest);
        assert!(restarts <= u32::from(guest_killed), "{what}");
        // It has at most sixteen.
        if vm.health_checks.len() > 12 {
            for status in &vm.health_checks {
                let name = status.check.name.clone();
                let vms = nodes.vms(now);
                let removed = vms.remove_health_check(NAME.into(), name, Change::default());
                soon(removed).await.unwrap();
            }
        }
        (from, before) = nodes.settled().await;
    }
    println!(
        "{kills} moves disturbed, {moved} of them came about, {unclear} with a call under way"
    );
    assert!(moved > 0, "those that nobody disturbs come about");
}
