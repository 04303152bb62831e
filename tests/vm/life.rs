//! The life of a machine, over every transport, with one handler.

use std::{net::Ipv4Addr, time::Duration};

use blixard_rpc::{
    Channel, Pool, Router,
    transport::grpc::{GrpcConnector, GrpcServer},
};
use blixard_services::vm::{
    Accelerator, Cause, Change, DesiredState, Qemu, ResetPolicy, VmState, Vms, VmsClient,
};
use blixard_tests::net::{dial, serve, soon};
use tokio::net::TcpListener;

use crate::node::{Node, QEMU, Terminal, is_there, nano, until, until_gone, until_it};

const MINUTE: Option<Duration> = Some(Duration::from_secs(60));

/// From its creation to its end.
async fn lives(vms: VmsClient, name: &str) {
    let change = Change::default;
    let created = soon(vms.create(name.into(), nano(), change()))
        .await
        .unwrap();
    assert!(created.changed);
    assert_eq!(created.vm.state, VmState::Created);
    let again = soon(vms.create(name.into(), nano(), change()))
        .await
        .unwrap();
    assert!(!again.changed);
    assert_eq!(again.vm, created.vm);

    let started = soon(vms.start(name.into(), change())).await.unwrap();
    assert!(started.changed);
    assert_eq!(started.vm.state, VmState::Starting);
    let running = until(&vms, name, VmState::Running).await;
    assert!(running.process.is_some());
    assert!(
        !soon(vms.start(name.into(), change()))
            .await
            .unwrap()
            .changed
    );
    let mut terminal = Terminal::of(&vms, name).await;
    terminal.expect("READY").await;
    terminal.send("p").await;
    terminal.expect("PONG").await;

    assert!(
        soon(vms.pause(name.into(), change()))
            .await
            .unwrap()
            .changed
    );
    until(&vms, name, VmState::Paused).await;
    terminal.send("p").await;
    assert!(
        soon(vms.resume(name.into(), change()))
            .await
            .unwrap()
            .changed
    );
    until(&vms, name, VmState::Running).await;
    terminal.expect("PONG").await;

    // The guest obeys its power button.
    let restarted = soon(vms.restart(name.into(), MINUTE, change()))
        .await
        .unwrap();
    assert_eq!(restarted.vm.state, VmState::Stopping);
    assert_eq!(restarted.vm.desired, DesiredState::Running);
    let said = terminal.end().await;
    assert!(said.windows(6).any(|part| part == b"PWRBTN"), "{said:?}");
    let second = until(&vms, name, VmState::Running).await;
    assert_ne!(second.process, running.process);
    assert_eq!(second.uuid, running.uuid);
    Terminal::of(&vms, name).await.expect("READY").await;

    // One that is held is let go to see it.
    soon(vms.pause(name.into(), change())).await.unwrap();
    until(&vms, name, VmState::Paused).await;
    soon(vms.stop(name.into(), MINUTE, change())).await.unwrap();
    let stopped = until(&vms, name, VmState::Stopped).await;
    assert_eq!(stopped.reason.unwrap().cause, Cause::Requested);
    assert_eq!(stopped.process, None);
    assert!(
        !soon(vms.stop(name.into(), MINUTE, change()))
            .await
            .unwrap()
            .changed
    );

    // And one that does not obey is told to quit.
    soon(vms.start(name.into(), change())).await.unwrap();
    until(&vms, name, VmState::Running).await;
    let mut terminal = Terminal::of(&vms, name).await;
    terminal.expect("READY").await;
    terminal.send("h").await;
    let grace = Some(Duration::from_millis(100));
    soon(vms.stop(name.into(), grace, change())).await.unwrap();
    until(&vms, name, VmState::Stopped).await;

    let deleted = soon(vms.delete(name.into(), false, change()))
        .await
        .unwrap();
    assert_eq!(deleted.vm.state, VmState::Deleting);
    until_gone(&vms, name).await;
    assert_eq!(
        soon(vms.get(name.into())).await.unwrap_err().code(),
        blixard_rpc::Code::NotFound
    );
}

#[tokio::test]
async fn over_every_transport_with_one_handler() {
    let Some(node) = Node::new().await else {
        return;
    };
    let router = Router::new().add(node.host.server());
    let iroh = serve(router.clone()).await;
    let connection = dial(&iroh).await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let grpc = GrpcServer::new(router).spawn(listener);
    let channel = Pool::new(GrpcConnector::new()).channel(address.into());
    tokio::join!(
        lives(node.vms.clone(), "memory"),
        lives(VmsClient::new(Channel::new(connection)), "iroh"),
        lives(VmsClient::new(Channel::new(channel)), "grpc"),
    );
    assert_eq!(node.folder.processes(), Vec::<i32>::new());
    let left = std::fs::read_dir(node.folder.0.join("run"))
        .unwrap()
        .count();
    assert_eq!(left, 0, "nothing is left of machines that are gone");
    drop((iroh, grpc));
}

#[tokio::test]
async fn a_machine_that_runs_is_deleted_by_force_alone() {
    let Some(node) = Node::new().await else {
        return;
    };
    let vm = node.running("a").await;
    let folder = node.folder.0.join("run").join(vm.uuid.replace('-', ""));
    assert!(is_there(&folder));
    let refused = node.vms.delete("a".into(), false, Change::default()).await;
    assert_eq!(
        refused.unwrap_err().code(),
        blixard_rpc::Code::FailedPrecondition
    );
    node.vms
        .delete("a".into(), true, Change::default())
        .await
        .unwrap();
    until_gone(&node.vms, "a").await;
    assert!(!is_there(&folder));
    assert_eq!(node.folder.processes(), Vec::<i32>::new());
}

#[tokio::test]
async fn a_guest_that_resets_boots_again_unless_it_is_to_fail() {
    let Some(node) = Node::new().await else {
        return;
    };
    let vm = node.running("boots").await;
    let mut terminal = Terminal::of(&node.vms, "boots").await;
    for _ in 0..2 {
        terminal.expect("READY").await;
        terminal.send("f").await;
    }
    terminal.expect("READY").await;
    let same = node.vms.get("boots".into()).await.unwrap().vm;
    assert_eq!(same, vm, "its process is the same");

    let mut spec = nano();
    spec.on_reset = ResetPolicy::Fail;
    let change = Change::default;
    node.vms
        .create("fails".into(), spec, change())
        .await
        .unwrap();
    node.vms.start("fails".into(), change()).await.unwrap();
    until(&node.vms, "fails", VmState::Running).await;
    let mut terminal = Terminal::of(&node.vms, "fails").await;
    terminal.expect("READY").await;
    terminal.send("f").await;
    let failed = until(&node.vms, "fails", VmState::Failed).await;
    assert_eq!(failed.reason.unwrap().cause, Cause::GuestReset);
}

/// KVM counts if a guest runs by it, and the answer is kept for as long as the node is not booted.
#[tokio::test]
async fn what_runs_guests_is_found_out() {
    let Some(node) = Node::new().await else {
        return;
    };
    let mut config = node.folder.config();
    config.accelerator = Accelerator::Auto;
    let found = Qemu::open(config.clone())
        .unwrap()
        .accelerator()
        .await
        .unwrap();
    assert_ne!(found, Accelerator::Auto);
    let note = node.folder.0.join("run/accelerator");
    let noted = std::fs::read_to_string(&note).unwrap();
    let name = if found == Accelerator::Kvm {
        "kvm"
    } else {
        "tcg"
    };
    assert!(noted.trim().ends_with(name), "{noted}");
    let other = if found == Accelerator::Kvm {
        "tcg"
    } else {
        "kvm"
    };
    std::fs::write(&note, noted.replace(name, other)).unwrap();
    let again = Qemu::open(config.clone())
        .unwrap()
        .accelerator()
        .await
        .unwrap();
    assert_ne!(again, found, "it was read, and not found out again");
    std::fs::write(&note, format!("another boot {other}")).unwrap();
    let anew = Qemu::open(config.clone())
        .unwrap()
        .accelerator()
        .await
        .unwrap();
    assert_eq!(anew, found);

    config.binary = node.folder.0.join("images/nano.elf");
    std::fs::remove_file(&note).unwrap();
    let refused = Qemu::open(config).unwrap().accelerator().await.unwrap_err();
    assert!(refused.message().contains("nano.elf"), "{refused}");
}

#[tokio::test]
async fn qemu_that_is_missing_or_dies_at_once_is_said_and_nothing_is_left() {
    if !blixard_tests::tools::installed(QEMU) {
        return;
    }
    let broken = "#!/bin/sh\necho 'no such machine' >&2\nexit 7\n";
    for (name, expected) in [("none", "install QEMU"), ("dies", "no such machine")] {
        let folder = crate::node::Folder::new();
        let mut config = folder.config();
        config.binary = folder.0.join(name);
        if name == "dies" {
            std::fs::write(&config.binary, broken).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(&config.binary, mode).unwrap();
        }
        let host = blixard_services::vm::VmHost::open(&folder.0, Qemu::open(config).unwrap());
        let host = host.await.unwrap();
        let router = Router::new().add(host.server());
        let vms = VmsClient::new(Channel::new(blixard_rpc::Memory::new(router)));
        let change = Change::default;
        vms.create("a".into(), nano(), change()).await.unwrap();
        for _ in 0..2 {
            vms.start("a".into(), change()).await.unwrap();
            let failed = until_it(&vms, "a", |vm| vm.state == VmState::Failed).await;
            let reason = failed.reason.unwrap();
            assert_eq!(reason.cause, Cause::StartFailed);
            assert!(reason.message.contains(expected), "{}", reason.message);
        }
        vms.delete("a".into(), false, change()).await.unwrap();
        until_gone(&vms, "a").await;
        assert_eq!(folder.processes(), Vec::<i32>::new());
    }
}

/// From the call to the guest's first words; what it takes on this machine is printed.
#[tokio::test]
async fn a_start_is_quick() {
    let Some(node) = Node::new().await else {
        return;
    };
    let change = Change::default;
    node.vms.create("a".into(), nano(), change()).await.unwrap();
    let mut took = Vec::new();
    for _ in 0..20 {
        let began = std::time::Instant::now();
        node.vms.start("a".into(), change()).await.unwrap();
        until(&node.vms, "a", VmState::Running).await;
        Terminal::of(&node.vms, "a").await.expect("READY").await;
        took.push(began.elapsed());
        let zero = Some(Duration::ZERO);
        node.vms.stop("a".into(), zero, change()).await.unwrap();
        until(&node.vms, "a", VmState::Stopped).await;
    }
    took.sort();
    println!(
        "start to READY: median {:?}, p95 {:?} of 20",
        took[10], took[18]
    );
    assert!(took[10] < Duration::from_secs(5), "{took:?}");
}
