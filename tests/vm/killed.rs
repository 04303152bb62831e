//! The daemon is killed at random moments of a script, and begun again: what it acknowledged is there, no guest is lost, and none is
//! started twice. The seed is printed; `BLIXARD_SEED` sets it, and `VM_KILLS` how often.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use blixard_rpc::{Channel, Code, Pool, Result, transport::grpc::GrpcConnector};
use blixard_services::vm::{Change, DesiredState, Vm, VmProcess, VmState, Vms, VmsClient};
use blixard_tests::{net::soon, seed::Seed, tools::installed};
use tokio::time::{Instant, sleep, timeout};

use crate::node::{Folder, QEMU, nano, until_gone, until_it};

const NAMES: [&str; 3] = ["a", "b", "c"];

/// The daemon, as a process of its own.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) vms: VmsClient,
}

impl Daemon {
    pub(crate) fn begin(folder: &Folder) -> Self {
        Self::begin_by(Command::new("env"), &folder.0).0
    }

    /// By a program that becomes the one that its last arguments name.
    pub(crate) fn begin_by(mut program: Command, folder: &Path) -> (Self, SocketAddr) {
        let mut child = program
            .arg(env!("CARGO_BIN_EXE_peer"))
            .arg("vms")
            .arg(folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut address).unwrap();
        let address: SocketAddr = address.trim().parse().unwrap();
        let channel = Pool::new(GrpcConnector::new()).channel(address.into());
        let daemon = Self {
            child,
            vms: VmsClient::new(Channel::new(channel)),
        };
        (daemon, address)
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may be killed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Create,
    Start,
    Stop,
    Pause,
    Resume,
    Restart,
    Delete,
}

/// A call, which has the same id when it is sent again.
#[derive(Clone, Debug)]
struct Call {
    name: &'static str,
    op: Op,
    id: String,
}

impl Call {
    async fn send(&self, vms: &VmsClient) -> Result<Vm> {
        let (name, change) = (self.name.to_owned(), Change::id(&self.id));
        let zero = Some(Duration::ZERO);
        Ok(match self.op {
            Op::Create => vms.create(name, nano(), change).await?.vm,
            Op::Start => vms.start(name, change).await?.vm,
            Op::Stop => vms.stop(name, zero, change).await?.vm,
            Op::Pause => vms.pause(name, change).await?.vm,
            Op::Resume => vms.resume(name, change).await?.vm,
            Op::Restart => vms.restart(name, zero, change).await?.vm,
            Op::Delete => vms.delete(name, true, change).await?.vm,
        })
    }
}

/// What was acknowledged, and what was seen.
#[derive(Default)]
struct Ledger {
    acknowledged: BTreeMap<&'static str, Vm>,
    /// Machines that ran when nothing was to be done for them any more, and that nobody has touched since.
    untouched: BTreeMap<&'static str, VmProcess>,
}

impl Ledger {
    fn note(&mut self, call: &Call, vm: Vm) {
        self.acknowledged.insert(call.name, vm);
    }

    /// What was acknowledged is there.
    async fn check(&self, vms: &VmsClient) {
        for (name, acknowledged) in &self.acknowledged {
            let found = soon(vms.get((*name).to_owned())).await;
            if acknowledged.desired == DesiredState::Deleted {
                match found {
                    Ok(response) => assert_eq!(response.vm.desired, DesiredState::Deleted),
                    Err(status) => assert_eq!(status.code(), Code::NotFound),
                }
                continue;
            }
            let vm = found.unwrap().vm;
            assert_eq!(vm.uuid, acknowledged.uuid);
            assert_eq!(vm.desired, acknowledged.desired, "{vm:?}\n{acknowledged:?}");
            assert!(
                vm.version >= acknowledged.version,
                "{vm:?}\n{acknowledged:?}"
            );
        }
        for (name, process) in &self.untouched {
            let vm = soon(vms.get((*name).to_owned())).await.unwrap().vm;
            assert_eq!(
                vm.process.as_ref(),
                Some(process),
                "{name} was started again"
            );
            assert!(
                matches!(vm.state, VmState::Running | VmState::Paused),
                "{vm:?}"
            );
        }
    }

    /// Waits until nothing is to be done, and notes what runs.
    async fn settle(&mut self, vms: &VmsClient, folder: &Folder) {
        let mut pids = Vec::new();
        for (name, vm) in &self.acknowledged {
            if vm.desired == DesiredState::Deleted {
                until_gone(vms, name).await;
                continue;
            }
            let vm = until_it(vms, name, |vm| match vm.desired {
                DesiredState::Running => vm.state == VmState::Running,
                DesiredState::Paused => vm.state == VmState::Paused,
                _ => matches!(vm.state, VmState::Stopped | VmState::Created),
            })
            .await;
            if let Some(process) = vm.process {
                pids.push(process.pid as i32);
                self.untouched.insert(name, process);
            }
        }
        let mut found = folder.processes();
        found.sort_unstable();
        pids.sort_unstable();
        assert_eq!(
            found, pids,
            "no guest is lost, and none runs that nobody knows of"
        );
        self.acknowledged
            .retain(|_, vm| vm.desired != DesiredState::Deleted);
    }
}

/// At no time has a machine two processes.
fn none_twice(folder: &Folder) {
    let mut uuids: Vec<Vec<u8>> = folder
        .processes()
        .into_iter()
        .filter_map(|pid| {
            let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let mut arguments = arguments.split(|byte| *byte == 0);
            arguments.find(|argument| *argument == b"-uuid")?;
            Some(arguments.next()?.to_vec())
        })
        .collect();
    let all = uuids.len();
    uuids.sort();
    uuids.dedup();
    assert_eq!(uuids.len(), all, "a machine was started twice");
}

#[tokio::test]
async fn what_was_acknowledged_is_there_and_no_guest_is_lost_or_started_twice() {
    if !installed(QEMU) {
        return;
    }
    let kills = env::var("VM_KILLS").map_or(8, |it| it.parse().unwrap());
    let mut seed = Seed::of_this_run();
    let folder = Folder::new();
    let mut ledger = Ledger::default();
    let mut daemon = Daemon::begin(&folder);
    let mut number = 0;
    let (mut lost, mut took) = (0, Duration::ZERO);
    for turn in 0..kills {
        let calls = 1 + seed.within(0..6);
        let mut in_flight = None;
        for nth in 0..=calls {
            let name = NAMES[seed.within(0..3) as usize];
            let op = match seed.within(0..12) {
                // Until there is something to work on.
                _ if !ledger.acknowledged.contains_key(name) => Op::Create,
                0..=3 => Op::Start,
                4 | 5 => Op::Stop,
                6 | 7 => Op::Pause,
                8 | 9 => Op::Resume,
                10 => Op::Restart,
                _ => Op::Delete,
            };
            number += 1;
            let id = format!("change-{number}");
            let call = Call { name, op, id };
            // A call takes some milliseconds, and what it leads to some tens.
            let within = if seed.within(0..2) == 0 {
                5_000
            } else {
                60_000
            };
            let after = Duration::from_micros(seed.within(0..within));
            if nth == calls {
                // Killed before, while or after the call is done.
                let answered = timeout(after, call.send(&daemon.vms)).await;
                daemon.kill();
                match answered {
                    Ok(Ok(vm)) => {
                        ledger.untouched.remove(name);
                        // What it led to may have been begun.
                        ledger.note(&call, vm);
                    }
                    Ok(Err(status)) => refused(&status),
                    Err(_) => {
                        ledger.untouched.remove(name);
                        in_flight = Some(call);
                        lost += 1;
                    }
                }
                break;
            }
            match soon(call.send(&daemon.vms)).await {
                Ok(vm) => {
                    ledger.untouched.remove(name);
                    ledger.note(&call, vm);
                }
                Err(status) => refused(&status),
            }
            none_twice(&folder);
            if seed.within(0..2) == 0 {
                sleep(after).await;
            }
            if seed.within(0..4) == 0 {
                ledger.settle(&daemon.vms, &folder).await;
            }
        }
        none_twice(&folder);
        let began = Instant::now();
        daemon = Daemon::begin(&folder);
        took = took.max(began.elapsed());
        // What may have been done is asked for again, by the same id.
        if let Some(call) = in_flight {
            match soon(call.send(&daemon.vms)).await {
                Ok(vm) => ledger.note(&call, vm),
                Err(status) => refused(&status),
            }
        }
        ledger.check(&daemon.vms).await;
        none_twice(&folder);
        if turn % 2 == 0 {
            ledger.settle(&daemon.vms, &folder).await;
        }
    }
    ledger.settle(&daemon.vms, &folder).await;
    println!(
        "killed {kills} times, {lost} with a call under way; back at the latest after {took:?}"
    );
    for name in ledger.acknowledged.keys() {
        let deleted = daemon
            .vms
            .delete((*name).to_owned(), true, Change::default());
        soon(deleted).await.unwrap();
        until_gone(&daemon.vms, name).await;
    }
    assert_eq!(folder.processes(), Vec::<i32>::new());
}

/// A call may come in a state that does not allow it, but nothing else goes wrong.
#[track_caller]
fn refused(status: &blixard_rpc::Status) {
    let expected = [Code::FailedPrecondition, Code::NotFound];
    assert!(expected.contains(&status.code()), "{status}");
}
