//! A daemon that begins finds the machines of the one before: as they were, or with what was found instead.

use std::{
    collections::BTreeMap, io::Write as _, net::Shutdown, os::unix::net::UnixStream, time::Instant,
};

use blixard_services::vm::{Cause, Change, VmState, Vms};
use futures_util::future::join_all;

use crate::node::{Node, Terminal, kill, nano, until, until_it};

const MANY: usize = 16;

#[tokio::test]
async fn sixteen_at_once_and_adopted() {
    let Some(node) = Node::new().await else {
        return;
    };
    let names: Vec<String> = (0..MANY).map(|number| format!("vm-{number}")).collect();
    let began = Instant::now();
    let started = names.iter().map(|name| async {
        let change = Change::default;
        node.vms
            .create(name.clone(), nano(), change())
            .await
            .unwrap();
        let began = Instant::now();
        node.vms.start(name.clone(), change()).await.unwrap();
        let vm = until(&node.vms, name, VmState::Running).await;
        Terminal::of(&node.vms, name).await.expect("READY").await;
        (name.clone(), vm.process, began.elapsed())
    });
    let started = join_all(started).await;
    println!("{MANY} at once: all READY after {:?}", began.elapsed());
    let before: BTreeMap<_, _> = started
        .into_iter()
        .map(|(name, process, _)| (name, process))
        .collect();
    assert_eq!(node.folder.processes().len(), MANY);

    let paused = "vm-3".to_owned();
    node.vms
        .pause(paused.clone(), Change::default())
        .await
        .unwrap();
    until(&node.vms, &paused, VmState::Paused).await;

    node.host.close().await;
    let began = Instant::now();
    let node = Node::of(node.folder).await;
    // A console is there when its machine was adopted.
    join_all(names.iter().map(|name| async {
        while node.vms.console(greeting(name)).await.is_err() {
            tokio::task::yield_now().await;
        }
    }))
    .await;
    println!("{MANY} adopted after {:?}", began.elapsed());
    let after: BTreeMap<_, _> = node
        .vms
        .list(String::new())
        .await
        .unwrap()
        .vms
        .into_iter()
        .map(|vm| (vm.name, vm.process))
        .collect();
    assert_eq!(before, after, "none was started again");
    for name in &names {
        let state = node.vms.get(name.clone()).await.unwrap().vm.state;
        if *name == paused {
            assert_eq!(state, VmState::Paused);
            node.vms
                .resume(paused.clone(), Change::default())
                .await
                .unwrap();
        } else {
            assert_eq!(state, VmState::Running);
        }
        let mut terminal = Terminal::of(&node.vms, name).await;
        terminal.send("p").await;
        terminal.expect("PONG").await;
    }
}

fn greeting(name: &str) -> blixard_rpc::Streaming<blixard_services::vm::ConsoleRequest> {
    blixard_rpc::Streaming::from_iter([blixard_services::vm::ConsoleRequest {
        name: name.into(),
        ..Default::default()
    }])
}

#[tokio::test]
async fn what_ended_meanwhile_is_said() {
    let Some(node) = Node::new().await else {
        return;
    };
    let mut faults = nano();
    faults.on_reset = blixard_services::vm::ResetPolicy::Fail;
    let change = Change::default;
    node.vms
        .create("faults".into(), faults, change())
        .await
        .unwrap();
    node.vms.start("faults".into(), change()).await.unwrap();
    for name in ["off", "panics", "killed", "again", "faults"] {
        if name != "faults" {
            node.running(name).await;
        }
        until(&node.vms, name, VmState::Running).await;
        let mut terminal = Terminal::of(&node.vms, name).await;
        terminal.expect("READY").await;
    }
    let killed = node.vms.get("killed".into()).await.unwrap().vm;
    let mut sockets = Vec::new();
    for name in ["off", "panics", "faults"] {
        let vm = node.vms.get(name.into()).await.unwrap().vm;
        let folder = node.folder.0.join("run").join(vm.uuid.replace('-', ""));
        sockets.push(folder.join("console"));
    }
    node.host.close().await;
    // While nobody looks, three guests end by themselves, and one process by force.
    for (socket, byte) in sockets.iter().zip([b"o", b"x", b"f"]) {
        let mut stream = UnixStream::connect(socket).unwrap();
        stream.write_all(byte).unwrap();
        // The new daemon's connection waits behind this one: it ends only when its byte was read.
        stream.shutdown(Shutdown::Write).unwrap();
    }
    kill(killed.process.unwrap().pid as i32);
    let node = Node::of(node.folder).await;
    let off = until_it(&node.vms, "off", |vm| vm.state == VmState::Stopped).await;
    assert_eq!(off.reason.unwrap().cause, Cause::GuestShutdown);
    let panics = until_it(&node.vms, "panics", |vm| vm.state == VmState::Failed).await;
    assert_eq!(panics.reason.unwrap().cause, Cause::GuestPanic);
    // It may have powered itself off; but it may have crashed, and that counts.
    let faults = until_it(&node.vms, "faults", |vm| vm.state == VmState::Failed).await;
    assert!(faults.reason.unwrap().message.contains("was reset"));
    let lost = until_it(&node.vms, "killed", |vm| vm.state == VmState::Failed).await;
    let reason = lost.reason.unwrap();
    assert_eq!(reason.cause, Cause::Lost);
    // This process is its parent still, and so learns more than a new daemon would.
    assert!(reason.message.contains("signal 9"), "{}", reason.message);
    // A third daemon finds the last one as it was.
    let node = node.again().await;
    let vm = until(&node.vms, "again", VmState::Running).await;
    assert!(
        node.folder
            .processes()
            .contains(&(vm.process.unwrap().pid as i32))
    );
    assert_eq!(node.folder.processes().len(), 1);
}

#[tokio::test]
async fn two_daemons_do_not_share_a_folder() {
    let Some(node) = Node::new().await else {
        return;
    };
    let qemu = blixard_services::vm::Qemu::open(node.folder.config()).unwrap();
    let second = blixard_services::vm::VmHost::open(&node.folder.0, qemu).await;
    let refused = second.unwrap_err();
    assert_eq!(refused.code(), blixard_rpc::Code::FailedPrecondition);
    assert!(refused.message().contains("another daemon"), "{refused}");
}

/// Whoever holds its lock may be its process: that is not taken for lost, and it is clear as soon as the lock is free.
#[tokio::test]
async fn what_is_not_clear_is_neither_lost_nor_started_again() {
    let Some(node) = Node::new().await else {
        return;
    };
    let vm = node.running("a").await;
    node.host.close().await;
    let folder = node.folder.0.join("run").join(vm.uuid.replace('-', ""));
    kill(vm.process.unwrap().pid as i32);
    let lock = std::fs::File::open(folder.join("lock")).unwrap();
    // It is free when the process is gone.
    lock.lock().unwrap();
    // One that is called like it, and is not.
    let mut other = std::process::Command::new("sh")
        .args(["-c", "read line", "-uuid", &vm.uuid])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let node = Node::of(node.folder).await;
    let unknown = until(&node.vms, "a", VmState::Unspecified).await;
    let message = unknown.reason.unwrap().message;
    assert!(message.contains("holds the lock"), "{message}");
    drop(lock);
    let lost = until(&node.vms, "a", VmState::Failed).await;
    assert_eq!(lost.reason.unwrap().cause, Cause::Lost);
    other.kill().unwrap();
    other.wait().unwrap();
}

/// Who watches or reads learns that a daemon lets go, and the next one has the machine to itself.
#[tokio::test]
async fn a_host_that_closes_lets_go_of_all_who_listen() {
    let Some(node) = Node::new().await else {
        return;
    };
    node.running("a").await;
    let mut terminal = Terminal::of(&node.vms, "a").await;
    terminal.expect("READY").await;
    let mut events = node.vms.watch(None).await.unwrap();
    node.host.close().await;
    let over = loop {
        match blixard_tests::net::soon(events.next()).await.unwrap() {
            Ok(_) => {}
            Err(status) => break status,
        }
    };
    assert_eq!(over.code(), blixard_rpc::Code::Unavailable);
    let next = Node::of(node.folder).await;
    until_it(&next.vms, "a", |vm| vm.state == VmState::Running).await;
    terminal.end().await;
    while next.vms.console(greeting("a")).await.is_err() {
        tokio::task::yield_now().await;
    }
    let mut again = Terminal::of(&next.vms, "a").await;
    again.send("p").await;
    again.expect("PONG").await;
}
