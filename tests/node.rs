//! How a node says that it is: with a disk that is really full, and a hypervisor that really does not start.

#![allow(clippy::unwrap_used, reason = "tests say where they fail")]

use std::{
    env, fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use blixard_rpc::{
    Channel, Memory, Router, Streaming,
    transport::grpc::{GrpcConnector, GrpcServer},
};
use blixard_services::{
    health::{Health, HealthCheckRequest, HealthCheckResponse, HealthClient, ServingStatus},
    node::{
        Components, Condition, NodeHealth, NodeHealthClient, ServingState, Storage, Watched, Weight,
    },
    vm::{Qemu, QemuConfig, backend::Hypervisor},
};
use blixard_tests::{
    folder::Folder,
    net::{dial, serve, soon},
    tools::installed,
};
use bytes::Bytes;
use rustix::process::{Resource, Rlimit, setrlimit};

/// A node that is asked in memory.
struct Node {
    components: Components,
    node: NodeHealthClient,
    health: HealthClient,
}

impl Node {
    fn new() -> Self {
        let components = Components::new();
        let router = Router::new()
            .add(components.server())
            .add(components.reporter().server());
        let channel = Channel::new(Memory::new(router));
        Self {
            components,
            node: NodeHealthClient::new(channel.clone()),
            health: HealthClient::new(channel),
        }
    }

    async fn watch(&self, service: &str) -> Streaming<HealthCheckResponse> {
        let watch = self.health.watch(HealthCheckRequest::of(service));
        soon(watch).await.unwrap()
    }

    /// The only component, and that the node is alike.
    async fn only(&self) -> (ServingState, String, Option<SystemTime>) {
        let node = soon(self.node.check()).await.unwrap();
        let [component] = &node.components[..] else {
            panic!("{node:?}");
        };
        assert_eq!(node.state, component.state);
        (component.state, component.reason.clone(), component.since)
    }
}

/// Reads until this is said. What takes a process takes long on a busy machine.
async fn until(health: &mut Streaming<HealthCheckResponse>, status: ServingStatus) {
    let found = async { while health.next().await.unwrap().unwrap().status != status {} };
    let patience = Duration::from_secs(60);
    tokio::time::timeout(patience, found).await.unwrap();
}

const OFTEN: Duration = Duration::from_millis(10);

/// It runs in a process of its own, which can write no file of more than a block: for it the disk is full.
#[tokio::test]
async fn a_full_disk_does_not_serve_until_there_is_room() {
    const LIMITED: &str = "BLIXARD_NODE_LIMITED";
    const NAME: &str = "a_full_disk_does_not_serve_until_there_is_room";
    if env::var_os(LIMITED).is_none() {
        let script = "trap '' XFSZ; ulimit -S -f 1; exec \"$@\"";
        let mut child = Command::new("sh");
        child
            .args(["-c", script, "sh"])
            .arg(env::current_exe().unwrap());
        child.args(["--exact", NAME]).env(LIMITED, "1");
        let output = child.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{said}\n{complaint}"
        );
        return;
    }
    let folder = Folder::new("node-full");
    let node = Node::new();
    let (mut storage, mut whole) = (node.watch("storage").await, node.watch("").await);
    let _storage = node
        .components
        .add("storage", Weight::Essential)
        .watched(Storage::new(folder.path(), 1), OFTEN);
    until(&mut storage, ServingStatus::NotServing).await;
    until(&mut whole, ServingStatus::NotServing).await;
    let (state, reason, full_since) = loop {
        // Before it was asked it does not serve either.
        let found = node.only().await;
        if !found.1.starts_with("it has not said") {
            break found;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(state, ServingState::NotServing);
    assert!(reason.contains("full; make room"), "{reason}");
    assert!(reason.contains(folder.path().to_str().unwrap()), "{reason}");

    let none = Rlimit {
        current: None,
        maximum: None,
    };
    setrlimit(Resource::Fsize, none).unwrap();
    until(&mut storage, ServingStatus::Serving).await;
    until(&mut whole, ServingStatus::Serving).await;
    let (state, reason, since) = node.only().await;
    assert_eq!((state, reason.as_str()), (ServingState::Serving, ""));
    assert!(since.unwrap() >= full_since.unwrap());
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert!(left.len() <= 1, "{left:?}");
}

#[tokio::test]
async fn little_room_is_said_and_serves() {
    let folder = Folder::new("node-low");
    let node = Node::new();
    let mut storage = node.watch("storage").await;
    let _storage = node
        .components
        .add("storage", Weight::Essential)
        .watched(Storage::new(folder.path(), u64::MAX), OFTEN);
    until(&mut storage, ServingStatus::Serving).await;
    let (state, reason, _) = node.only().await;
    assert_eq!(state, ServingState::Degraded);
    assert!(reason.contains("MiB left"), "{reason}");
    // A folder that is gone is another matter.
    fs::remove_dir_all(folder.path()).unwrap();
    until(&mut storage, ServingStatus::NotServing).await;
    let (_, reason, _) = node.only().await;
    assert!(reason.contains("cannot be written to"), "{reason}");
}

fn program(path: &Path, script: &str) {
    let new = path.with_extension("new");
    fs::write(&new, script).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(new, path).unwrap();
}

fn watch_hypervisor(node: &Node, folder: &Path) -> (PathBuf, Watched) {
    let mut config = QemuConfig::new(folder);
    config.binary = folder.join("qemu");
    let binary = config.binary.clone();
    let qemu = Arc::new(Qemu::open(config).unwrap());
    let ready = move || {
        let qemu = Arc::clone(&qemu);
        async move { Condition::from(qemu.ready().await) }
    };
    let hypervisor = node.components.add("hypervisor", Weight::Essential);
    (binary, hypervisor.watched(ready, OFTEN))
}

/// Waits until the reason says this.
async fn until_reason(node: &Node, says: &str) {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let (state, reason, _) = node.only().await;
        if reason.contains(says) {
            assert_eq!(state, ServingState::NotServing);
            return;
        }
        assert!(
            Instant::now() < until,
            "{state:?}: {reason:?} does not say {says:?}"
        );
        tokio::time::sleep(OFTEN).await;
    }
}

#[tokio::test]
async fn a_hypervisor_that_cannot_start_does_not_serve() {
    let folder = Folder::new("node-qemu");
    let node = Node::new();
    let (binary, _watched) = watch_hypervisor(&node, folder.path());
    until_reason(&node, "install QEMU").await;
    program(&binary, "#!/bin/sh\necho 'no such library' >&2\nexit 127\n");
    until_reason(&node, "no such library").await;
    let status = node.health.check(HealthCheckRequest::of("hypervisor"));
    assert_eq!(
        soon(status).await.unwrap().status,
        ServingStatus::NotServing
    );
    if !installed("qemu-system-x86_64") {
        return;
    }

    let mut health = node.watch("hypervisor").await;
    let path = env::var_os("PATH").unwrap();
    let real = env::split_paths(&path).map(|folder| folder.join("qemu-system-x86_64"));
    let real = real.into_iter().find(|path| path.exists()).unwrap();
    fs::remove_file(&binary).unwrap();
    symlink(real, &binary).unwrap();
    until(&mut health, ServingStatus::Serving).await;
    // It is gone again, after all was well.
    fs::remove_file(&binary).unwrap();
    until(&mut health, ServingStatus::NotServing).await;
    let (_, reason, _) = node.only().await;
    assert!(reason.contains("install QEMU"), "{reason}");
}

#[tokio::test]
async fn a_probe_that_panics_or_is_dropped_is_noticed() {
    let node = Node::new();
    let mut health = node.watch("broken").await;
    let broken = Arc::new(AtomicBool::new(false));
    let probe = {
        let broken = Arc::clone(&broken);
        move || {
            assert!(!broken.load(Ordering::Relaxed), "it is broken");
            async { Condition::Serving }
        }
    };
    let watched = node
        .components
        .add("broken", Weight::Useful)
        .watched(probe, OFTEN);
    until(&mut health, ServingStatus::Serving).await;
    broken.store(true, Ordering::Relaxed);
    until(&mut health, ServingStatus::NotServing).await;
    let view = node.node.check().await.unwrap();
    assert_eq!(
        view.state,
        ServingState::Degraded,
        "the node can do without it"
    );
    assert!(view.reason.contains("panicked"), "{view:?}");
    assert_eq!(watched.name(), "broken");
    drop(watched);
    until(&mut health, ServingStatus::ServiceUnknown).await;
    assert!(node.components.view().components.is_empty());
    assert_eq!(node.components.view().state, ServingState::Serving);
    // Its name is free again.
    let _again = node.components.add("broken", Weight::Useful);
}

#[tokio::test]
async fn a_node_answers_over_every_transport_until_it_shuts_down() {
    let components = Components::new();
    let storage = components.add("storage", Weight::Essential);
    storage.set(Condition::Serving);
    let router = Router::new().add(components.server());
    let grpc = GrpcServer::new(router.clone())
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    let iroh = serve(router).await;
    let address = grpc.local_addr().unwrap();
    let channels = [
        Channel::new(dial(&iroh).await),
        Channel::new(GrpcConnector::new().dial(&address.into()).await.unwrap()),
    ];
    let clients = channels.map(NodeHealthClient::new);
    for client in &clients {
        assert_eq!(soon(client.check()).await.unwrap(), components.view());
        let payload = Bytes::from(vec![7; 60_000]);
        let before = SystemTime::now();
        let first = soon(client.ping(payload.clone())).await.unwrap();
        assert_eq!(first.payload, payload);
        let answered = first.answered_at.unwrap();
        // One clock: the answer lies between.
        assert!(before <= answered && answered <= SystemTime::now());
        let second = soon(client.ping(Bytes::new())).await.unwrap();
        assert!(second.uptime_ms >= first.uptime_ms);
        assert!(soon(client.ping(vec![7; 70_000].into())).await.is_err());
    }
    components.shutdown();
    storage.set(Condition::Serving);
    for client in &clients {
        let node = soon(client.check()).await.unwrap();
        assert_eq!(node.state, ServingState::NotServing);
        assert_eq!(node.reason, "the node shuts down");
    }
    drop((components, storage));
    let node = soon(clients[0].check()).await.unwrap();
    assert_eq!(node.state, ServingState::NotServing);
}
