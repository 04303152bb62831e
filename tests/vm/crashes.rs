//! A guest or its process ends, and those who watch learn it at once, and why.

use std::time::{Duration, Instant};

use blixard_rpc::Streaming;
use blixard_services::vm::{Cause, Change, DesiredState, VmEvent, VmState, Vms, WatchResponse};
use blixard_tests::net::soon;

use crate::node::{Node, Terminal, kill, long, until};

/// Half of them take much less; the machine may do much else meanwhile.
const AT_ONCE: Duration = Duration::from_secs(2);

async fn next_state(
    events: &mut Streaming<WatchResponse>,
    name: &str,
    after: VmState,
) -> (VmState, Cause, String) {
    loop {
        if let VmEvent::Changed(vm) = soon(events.next()).await.unwrap().unwrap().event
            && vm.name == name
            && vm.state != after
        {
            let reason = vm.reason.unwrap_or_default();
            return (vm.state, reason.cause, reason.message);
        }
    }
}

#[tokio::test]
async fn watchers_learn_at_once_how_it_ended() {
    let Some(node) = Node::new().await else {
        return;
    };
    let kinds = [
        ("x", VmState::Failed, Cause::GuestPanic),
        ("o", VmState::Stopping, Cause::GuestShutdown),
        ("kill", VmState::Failed, Cause::Killed),
        ("term", VmState::Failed, Cause::Killed),
    ];
    let mut took = Vec::new();
    for (how, state, cause) in kinds {
        for turn in 0..3 {
            let name = format!("{how}{turn}");
            let vm = node.running(&name).await;
            let mut terminal = Terminal::of(&node.vms, &name).await;
            terminal.expect("READY").await;
            let mut events = node.vms.watch(Some(vm.version)).await.unwrap();
            let pid = vm.process.unwrap().pid as i32;
            let before = Instant::now();
            match how {
                "kill" => kill(pid),
                "term" => rustix::process::kill_process(
                    rustix::process::Pid::from_raw(pid).unwrap(),
                    rustix::process::Signal::TERM,
                )
                .unwrap(),
                how => terminal.send(how).await,
            }
            let (seen, why, message) = next_state(&mut events, &name, VmState::Running).await;
            took.push(before.elapsed());
            assert_eq!((seen, why), (state, cause), "{how}: {message}");
            if how == "kill" {
                assert!(message.contains("signal 9"), "{message}");
            }
            if cause == Cause::GuestShutdown {
                let stopped = until(&node.vms, &name, VmState::Stopped).await;
                assert_eq!(stopped.desired, DesiredState::Stopped);
                assert_eq!(stopped.reason.unwrap().cause, Cause::GuestShutdown);
            }
            assert!(terminal.end().await.len() < 64, "the console ends as well");
            // And it can be started again.
            if turn == 0 {
                node.vms
                    .start(name.clone(), Change::default())
                    .await
                    .unwrap();
                until(&node.vms, &name, VmState::Running).await;
                node.vms
                    .delete(name, true, Change::default())
                    .await
                    .unwrap();
            }
        }
    }
    took.sort();
    println!(
        "from the crash to the watch event: median {:?}, worst {:?} of {}",
        took[took.len() / 2],
        took[took.len() - 1],
        took.len()
    );
    assert!(took[took.len() / 2] < AT_ONCE, "{took:?}");
}

#[tokio::test]
async fn a_process_that_answers_nothing_is_killed_by_a_stop() {
    let Some(node) = Node::new().await else {
        return;
    };
    let vm = node.running("a").await;
    let pid = rustix::process::Pid::from_raw(vm.process.unwrap().pid as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    node.vms
        .stop("a".into(), Some(Duration::ZERO), Change::default())
        .await
        .unwrap();
    until(&node.vms, "a", VmState::Stopped).await;
    assert_eq!(node.folder.processes(), Vec::<i32>::new());
}

/// A process that does not answer is unknown, and known again when it does; so also for a daemon that begins meanwhile.
#[tokio::test]
async fn a_process_that_answers_again_is_known_again() {
    let Some(node) = Node::new().await else {
        return;
    };
    let vm = node.running("a").await;
    let pid = rustix::process::Pid::from_raw(vm.process.clone().unwrap().pid as i32).unwrap();
    let signal = |signal| rustix::process::kill_process(pid, signal).unwrap();
    signal(rustix::process::Signal::STOP);
    node.vms.pause("a".into(), Change::default()).await.unwrap();
    until(&node.vms, "a", VmState::Unspecified).await;
    signal(rustix::process::Signal::CONT);
    // The pause was on its way, and what is wanted comes about.
    let paused = until(&node.vms, "a", VmState::Paused).await;
    assert_eq!(paused.process, vm.process);
    node.vms
        .resume("a".into(), Change::default())
        .await
        .unwrap();
    until(&node.vms, "a", VmState::Running).await;

    signal(rustix::process::Signal::STOP);
    let node = node.again().await;
    until(&node.vms, "a", VmState::Unspecified).await;
    signal(rustix::process::Signal::CONT);
    let running = until(&node.vms, "a", VmState::Running).await;
    assert_eq!(running.process, vm.process);
    let mut terminal = Terminal::of(&node.vms, "a").await;
    terminal.send("p").await;
    terminal.expect("PONG").await;
}

/// A guest may have QEMU complain for ever: what it says is kept within bounds, and goes on.
#[tokio::test]
async fn what_qemu_says_does_not_fill_the_disk() {
    let Some(node) = Node::new().await else {
        return;
    };
    let vm = node.running("a").await;
    let folder = node.folder.0.join("run").join(vm.uuid.replace('-', ""));
    let log = folder.join("log");
    let much = vec![b'x'; 2 << 20];
    std::fs::OpenOptions::new()
        .append(true)
        .open(&log)
        .and_then(|mut log| std::io::Write::write_all(&mut log, &much))
        .unwrap();
    // It is looked at every few seconds.
    let cut = async {
        while std::fs::metadata(&log).unwrap().len() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    long(cut).await.unwrap();
    // What comes next is written after what is there, and not where the last was.
    let pid = vm.process.unwrap().pid;
    let flags = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/2")).unwrap();
    let flags = flags.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = u32::from_str_radix(flags.unwrap().trim(), 8).unwrap();
    assert_ne!(flags & 0o2000, 0, "it appends");
}
