//! Machines go from one node to another over iroh, or stay and say why.

use std::{
    collections::HashMap,
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use blixard_rpc::{
    Channel, Code, Dispatch, Router, Status, Streaming,
    call::{Request, Response},
    transport::iroh::{IrohConnector, IrohServer, SecretKey, ServerHandle},
};
use blixard_services::{
    auth::{Access, Peers, Policy},
    vm::{
        Cause, Change, DesiredState, Disk, DiskFormat, HealthCheck, HostConfig, MigrationMode,
        MigrationPhase, Probe, QemuConfig, RecoveryPolicy, Vm, VmEvent, VmHealth, VmMoved, VmState,
        Vms, WatchResponse,
    },
};
use blixard_tests::{
    net::{endpoint_of, soon},
    tools::installed,
};

use crate::node::{Folder, Node, QEMU, Terminal, long, nano, until, until_gone, until_it};

/// The other nodes, by the names that they have for each other.
type Known = Arc<Mutex<HashMap<String, Channel>>>;

/// Two nodes that know each other over iroh, by keys that have the role `node` and no other.
pub(crate) struct Pair {
    pub(crate) a: Node,
    pub(crate) b: Node,
    known: Known,
    _servers: [ServerHandle; 2],
}

impl Pair {
    pub(crate) async fn new() -> Option<Self> {
        Self::with(Folder::config).await
    }

    /// With another second node.
    pub(crate) async fn with(prepare: impl Fn(&Folder) -> QemuConfig) -> Option<Self> {
        if !installed(QEMU) {
            return None;
        }
        let known = Known::default();
        let keys = [SecretKey::generate(), SecretKey::generate()];
        let a = node(Folder::new(), Folder::config, &known).await;
        let b = node(Folder::new(), prepare, &known).await;
        let mut servers = Vec::new();
        for (node, key) in [&a, &b].into_iter().zip(&keys) {
            servers.push(served(node, key, &keys).await);
        }
        for (name, server, caller) in [("a", &servers[0], &keys[1]), ("b", &servers[1], &keys[0])] {
            let connector = IrohConnector::new(endpoint_of(caller.clone()).await);
            let connection = soon(connector.dial(server.endpoint().addr()))
                .await
                .unwrap();
            let mut known = known.lock().unwrap();
            known.insert(name.into(), Channel::new(connection));
        }
        Some(Self {
            a,
            b,
            known,
            _servers: servers.try_into().unwrap(),
        })
    }
}

async fn node(folder: Folder, prepare: impl Fn(&Folder) -> QemuConfig, known: &Known) -> Node {
    let known = Arc::clone(known);
    let config = HostConfig::default().nodes(move |name| {
        let known = known.lock().unwrap();
        let channel = known.get(name).cloned();
        channel.ok_or_else(|| Status::not_found(format!("there is no node {name}")))
    });
    let qemu = prepare(&folder);
    Node::hosted(folder, qemu, config).await
}

async fn served(node: &Node, key: &SecretKey, keys: &[SecretKey]) -> ServerHandle {
    let mut text = String::new();
    for (number, key) in keys.iter().enumerate() {
        let key = key.public();
        text += &format!("[peers.node-{number}]\nkey = \"{key}\"\nroles = [\"node\"]\n");
    }
    let file = node.folder.0.join("peers.toml");
    fs::write(&file, text).unwrap();
    let access = Access::new(Peers::load(file).unwrap(), Policy::new());
    let router = Router::new().add(node.host.server()).layer(access);
    IrohServer::new(router).spawn(endpoint_of(key.clone()).await)
}

fn change() -> Change {
    Change::default()
}

pub(crate) async fn migrate(node: &Node, name: &str, to: &str, mode: MigrationMode) -> Vm {
    let migrated = node.vms.migrate(name.into(), to.into(), mode, change());
    let response = soon(migrated).await.unwrap();
    assert!(response.changed);
    assert_eq!(response.vm.state, VmState::Migrating);
    response.vm
}

/// What was seen of a machine until it moved, and where it went.
pub(crate) async fn until_moved(events: &mut Streaming<WatchResponse>) -> (Vec<Vm>, VmMoved) {
    let mut seen = Vec::new();
    let moved = async {
        loop {
            match events.next().await.unwrap().unwrap().event {
                VmEvent::Changed(vm) => seen.push(*vm),
                VmEvent::Moved(moved) => return moved,
                _ => {}
            }
        }
    };
    let moved = long(moved).await;
    let moved = moved.unwrap_or_else(|| panic!("it has not moved: {seen:?}"));
    (seen, moved)
}

async fn pongs(node: &Node, name: &str) {
    let mut terminal = Terminal::of(&node.vms, name).await;
    terminal.send("p").await;
    terminal.expect("PONG").await;
}

#[tokio::test]
async fn a_guest_goes_there_and_back_and_all_that_is_known_of_it_goes_along() {
    let Some(pair) = Pair::new().await else {
        return;
    };
    let (a, b) = (&pair.a, &pair.b);
    a.running("web").await;
    Terminal::of(&a.vms, "web").await.expect("READY").await;
    let check = HealthCheck {
        name: "ping".into(),
        probe: Probe::Console {
            send: "p".into(),
            pattern: "PONG".into(),
        },
        interval: Duration::from_millis(20),
        timeout: Duration::from_secs(5),
        failures: 1000,
        successes: 1,
        disabled: false,
    };
    let policy = Some(RecoveryPolicy {
        attempts: 3,
        ..RecoveryPolicy::default()
    });
    let checked = a.vms.add_health_check("web".into(), check, change());
    soon(checked).await.unwrap();
    soon(a.vms.set_recovery("web".into(), policy, change()))
        .await
        .unwrap();
    let before = until_it(&a.vms, "web", |vm| vm.health == VmHealth::Healthy).await;

    let mut version = before.version;
    let mut held = Vec::new();
    for turn in 0..4 {
        let (from, to, name) = [(a, b, "b"), (b, a, "a")][turn % 2];
        let mut there = soon(to.vms.watch(None)).await.unwrap();
        let mut here = soon(from.vms.watch(Some(version))).await.unwrap();
        // Asked for twice, it goes once.
        let once = Change::id(format!("move-{turn}"));
        let asked = || {
            let (vms, once) = (from.vms.clone(), once.clone());
            async move {
                let migrated = vms.migrate("web".into(), name.into(), MigrationMode::Live, once);
                soon(migrated).await.unwrap()
            }
        };
        let first = asked().await;
        assert_eq!(asked().await, first);
        let (seen, moved) = until_moved(&mut here).await;
        assert_eq!((moved.name.as_str(), moved.node.as_str()), ("web", name));
        assert_eq!(moved.uuid, before.uuid);
        held.push(moved.held.unwrap());
        assert_eq!(asked().await, first, "and is not sent for again");
        let phases: Vec<_> = seen
            .iter()
            .filter_map(|vm| Some(vm.migration.as_ref()?.phase))
            .collect();
        assert_eq!(phases, [MigrationPhase::Sending, MigrationPhase::Offered]);
        for vm in &seen {
            assert!(vm.version > version, "{vm:?}");
            version = vm.version;
        }
        // It is gone there, and here it comes.
        let gone = soon(from.vms.get("web".into())).await.unwrap_err();
        assert_eq!(gone.code(), Code::NotFound);
        assert_eq!(from.folder.processes(), Vec::<i32>::new());
        let runs = until(&to.vms, "web", VmState::Running).await;
        assert!(runs.version > version);
        assert_eq!(runs.uuid, before.uuid);
        assert_eq!((&runs.spec, runs.recovery), (&before.spec, policy));
        assert_eq!(runs.created_at, before.created_at);
        assert_eq!(runs.desired, DesiredState::Running);
        let mut states = Vec::new();
        while states.last() != Some(&VmState::Running) {
            if let VmEvent::Changed(vm) = soon(there.next()).await.unwrap().unwrap().event {
                states.push(vm.state);
            }
        }
        states.dedup();
        assert_eq!(states, [VmState::Migrating, VmState::Running]);
        // The check goes on, and it is the same guest: it has not booted again.
        let well = until_it(&to.vms, "web", |vm| vm.health == VmHealth::Healthy).await;
        version = well.version;
        let mut terminal = Terminal::of(&to.vms, "web").await;
        terminal.send("p").await;
        terminal.expect("PONG").await;
        assert_eq!(to.folder.processes().len(), 1);
    }
    held.sort();
    println!("a tiny guest is held for {held:?} at most");
    // What came is started anew like any other.
    soon(a.vms.restart("web".into(), Some(Duration::ZERO), change()))
        .await
        .unwrap();
    Terminal::of(&a.vms, "web").await;
    until(&a.vms, "web", VmState::Running).await;
    soon(a.vms.delete("web".into(), true, change()))
        .await
        .unwrap();
    until_gone(&a.vms, "web").await;
    assert_eq!(a.folder.processes(), Vec::<i32>::new());
}

/// The machine stays, runs on, and says why.
async fn stays(pair: &Pair, name: &str, says: &str) {
    let vm = until_it(&pair.a.vms, name, |vm| {
        vm.state != VmState::Migrating && vm.reason.is_some()
    })
    .await;
    let reason = vm.reason.unwrap();
    assert_eq!(
        (vm.state, reason.cause),
        (VmState::Running, Cause::NotMoved),
        "{reason:?}"
    );
    assert!(reason.message.contains(says), "{}", reason.message);
    assert!(reason.message.contains("did not move to b"), "{reason:?}");
    pongs(&pair.a, name).await;
}

#[tokio::test]
async fn what_the_other_node_refuses_stays_and_says_why() {
    let other_kernel = |folder: &Folder| {
        let elf = folder.0.join("images/nano.elf");
        fs::copy(&elf, folder.0.join("images/other.elf")).unwrap();
        fs::write(folder.0.join("images/differs.elf"), "differs").unwrap();
        folder.config()
    };
    let Some(pair) = Pair::with(other_kernel).await else {
        return;
    };
    let (a, b) = (&pair.a, &pair.b);
    let images = a.folder.0.join("images");
    for name in ["differs.elf", "missing.elf"] {
        fs::copy(images.join("nano.elf"), images.join(name)).unwrap();
    }
    for kernel in ["differs", "missing"] {
        let mut spec = nano();
        spec.kernel.as_mut().unwrap().kernel = format!("{kernel}.elf");
        soon(a.vms.create(kernel.into(), spec, change()))
            .await
            .unwrap();
        soon(a.vms.start(kernel.into(), change())).await.unwrap();
        until(&a.vms, kernel, VmState::Running).await;
        migrate(a, kernel, "b", MigrationMode::Live).await;
    }
    stays(&pair, "differs", "another file there").await;
    stays(&pair, "missing", "no image").await;

    a.running("taken").await;
    soon(b.vms.create("taken".into(), nano(), change()))
        .await
        .unwrap();
    let theirs = soon(b.vms.get("taken".into())).await.unwrap();
    migrate(a, "taken", "b", MigrationMode::Live).await;
    stays(&pair, "taken", "there already").await;
    assert_eq!(soon(b.vms.get("taken".into())).await.unwrap(), theirs);

    assert_eq!(b.folder.processes(), Vec::<i32>::new());
    assert_eq!(soon(b.vms.list(String::new())).await.unwrap().vms.len(), 1);
}

#[tokio::test]
async fn where_no_process_can_be_started_it_does_not_go() {
    let dies = |folder: &Folder| {
        let mut config = folder.config();
        config.binary = folder.0.join("dies");
        fs::write(
            &config.binary,
            "#!/bin/sh\necho 'no such machine' >&2\nexit 7\n",
        )
        .unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&config.binary, mode).unwrap();
        config
    };
    let Some(pair) = Pair::with(dies).await else {
        return;
    };
    pair.a.running("web").await;
    migrate(&pair.a, "web", "b", MigrationMode::Live).await;
    stays(&pair, "web", "no such machine").await;
    // Nothing of it is left there, so that it may be tried again.
    until_gone(&pair.b.vms, "web").await;
    migrate(&pair.a, "web", "b", MigrationMode::Live).await;
    stays(&pair, "web", "no such machine").await;
}

/// A node that takes every call and answers none.
#[derive(Clone)]
struct Deaf;

impl Dispatch for Deaf {
    async fn dispatch(&self, _: Request) -> Result<Response, Status> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn one_that_is_on_its_way_to_nobody_is_called_back() {
    let Some(pair) = Pair::new().await else {
        return;
    };
    let a = &pair.a;
    pair.known
        .lock()
        .unwrap()
        .insert("b".into(), Channel::new(Deaf));
    a.running("web").await;
    let vm = migrate(a, "web", "b", MigrationMode::Live).await;
    assert_eq!(vm.migration.unwrap().phase, MigrationPhase::Sending);
    // It runs, and what is changed of it meanwhile stays; but nobody may end it.
    pongs(a, "web").await;
    let ended = a.vms.delete("web".into(), true, change());
    let status = soon(ended).await.unwrap_err();
    assert!(
        status.message().contains("cancel its migration"),
        "{status}"
    );
    let cancelled = a.vms.cancel_migration("web".into(), false, change());
    assert!(soon(cancelled).await.unwrap().changed);
    stays(&pair, "web", "cancelled").await;

    // Nobody comes to know more of it when the daemon ends: it stays.
    migrate(a, "web", "b", MigrationMode::Live).await;
    a.host.close().await;
    let again = Node::of(Folder(a.folder.0.clone())).await;
    let vm = until(&again.vms, "web", VmState::Running).await;
    let reason = vm.reason.unwrap();
    assert_eq!(reason.cause, Cause::NotMoved);
    assert!(reason.message.contains("restarted"), "{reason:?}");
    pongs(&again, "web").await;
}

#[tokio::test]
async fn what_cannot_go_is_said_at_once_and_nothing_is_changed() {
    let Some(pair) = Pair::new().await else {
        return;
    };
    let a = &pair.a;
    let refused = async |name: &str, to: &str, mode, code: Code, says: &str| {
        let before = a.vms.get(name.into()).await.ok();
        let called = a.vms.migrate(name.into(), to.into(), mode, change());
        let status = soon(called).await.unwrap_err();
        assert_eq!(status.code(), code, "{status}");
        assert!(status.message().contains(says), "{status}");
        assert_eq!(a.vms.get(name.into()).await.ok(), before);
    };
    use MigrationMode::{Cold, Live, Other, Unspecified};
    a.running("runs").await;
    let precondition = Code::FailedPrecondition;
    refused("runs", "b", Cold, precondition, "migrate it live").await;
    refused("runs", "", Live, Code::InvalidArgument, "name of a node").await;
    refused("runs", "c", Live, Code::NotFound, "no node c").await;
    refused("runs", "b", Other(7), Code::InvalidArgument, "no way 7").await;
    refused("nobody", "b", Live, Code::NotFound, "nobody").await;
    refused(
        "../a",
        "b",
        Live,
        Code::InvalidArgument,
        "name of a machine",
    )
    .await;
    let cancelled = a.vms.cancel_migration("runs".into(), true, change());
    let status = soon(cancelled).await.unwrap_err();
    assert!(status.message().contains("not being sent"), "{status}");
    soon(a.vms.pause("runs".into(), change())).await.unwrap();
    until(&a.vms, "runs", VmState::Paused).await;
    refused("runs", "b", Live, precondition, "resume it").await;

    soon(a.vms.create("rests".into(), nano(), change()))
        .await
        .unwrap();
    refused("rests", "b", Live, precondition, "migrate it cold").await;
    fs::write(a.folder.0.join("images/disk"), vec![0; 1 << 20]).unwrap();
    let mut spec = nano();
    spec.disks.push(Disk {
        image: "disk".into(),
        format: DiskFormat::Raw,
        ..Disk::default()
    });
    soon(a.vms.create("disk".into(), spec, change()))
        .await
        .unwrap();
    refused("disk", "b", Unspecified, precondition, "disks of its own").await;
}
