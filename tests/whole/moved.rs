//! A running cluster goes from gRPC to iroh as the plan says: health and status first, then the machines, then Raft, under load.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use blixard_raft_cluster::{load::Load, show::check};
use blixard_rpc::{CallOptions, Channel, Code};
use blixard_services::{
    image::{ImageFormat, ImageState, Images, ImagesClient, Provider},
    node::{NodeHealth, NodeHealthClient},
    status::{NodeStatus, NodeStatusClient},
    vm::{Change, MigrationMode, VmState, Vms, VmsClient},
};
use blixard_tests::{nano::nano, tools::installed};
use tokio::task::JoinSet;

use super::{Cluster, patiently};

const HEALTH: &str = "blixard.node.v1.NodeHealthService";
const STATUS: &str = "blixard.status.v1.StatusService";
const VM: &str = "blixard.vm.v1.VmService";
const RAFT: &str = "blixard.raft.v1.RaftService";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_moves_from_grpc_to_iroh_and_loses_nothing() {
    if !installed("qemu-system-x86_64") {
        return;
    }
    let cluster = Cluster::start("moved", 3).await;
    let writes = Load::start(&cluster.client, 4, 100);
    let calls = Calls::start(&cluster);
    for service in [HEALTH, STATUS, VM] {
        cluster.carried(service, "grpc").await;
    }
    cluster.members_speak_over("grpc").await;

    // Each step on one node after the other, as people do it.
    for (services, raft) in [
        (&[HEALTH, STATUS][..], "grpc"),
        (&[HEALTH, STATUS, VM], "grpc"),
        (&[HEALTH, STATUS, VM, RAFT], "dual"),
    ] {
        for carry in ["both", "iroh"] {
            for member in &cluster.layout.members {
                cluster.move_over(member.id, services, carry, raft).await;
            }
        }
        // A call of Raft is a stream that lasts.
        for service in services.iter().filter(|it| **it != RAFT) {
            cluster.carried(service, "iroh").await;
            cluster.carried_no_more(service).await;
        }
    }
    cluster.members_speak_over("iroh").await;
    for member in &cluster.layout.members {
        cluster
            .move_over(member.id, &[HEALTH, STATUS, VM, RAFT], "iroh", "iroh")
            .await;
    }
    let written = writes.book().count();
    let goes_on = async {
        while writes.book().count() < written + 50 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    patiently(goes_on).await;

    let (calls, lives) = calls.stop().await;
    println!("{calls} calls and {lives} lives of machines, none of them failed");
    assert!(calls > 100 && lives > 2, "too little to say anything");
    let book = writes.stop().await;
    let written = check(&cluster.client, &cluster.layout, &book)
        .await
        .unwrap();
    println!("{written} writes, none lost");
    assert!(written > 100, "too little to say anything");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_goes_to_another_node_over_grpc_and_back_over_iroh() {
    if !installed("qemu-system-x86_64") {
        return;
    }
    let cluster = Cluster::start("travels", 2).await;
    let vms = |id| VmsClient::new(cluster.admin.channels[&id].clone()).with(patience());
    let web = || "web".to_owned();
    let (first, second) = (vms(1), vms(2));
    first
        .create(web(), nano(), Change::default())
        .await
        .unwrap();
    first.start(web(), Change::default()).await.unwrap();
    until(&first, VmState::Running).await;
    let process = |vm: blixard_services::vm::Vm| vm.process.unwrap().pid;
    let before = process(first.get(web()).await.unwrap().vm);
    for (from, to, there, over) in [
        (&first, "2", &second, "grpc"),
        (&second, "1", &first, "iroh"),
    ] {
        if over == "iroh" {
            for member in &cluster.layout.members {
                cluster.move_over(member.id, &[VM], "iroh", "grpc").await;
            }
        }
        let nowhere = from.migrate(web(), "7".into(), MigrationMode::Live, Change::default());
        let status = nowhere.await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound, "{status}");
        let migrate = from.migrate(web(), to.into(), MigrationMode::Live, Change::default());
        migrate.await.unwrap();
        let gone = async {
            while !from.list(String::new()).await.unwrap().vms.is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        patiently(gone).await;
        until(there, VmState::Running).await;
        let receiver = to.parse().unwrap();
        assert!(cluster.count(receiver, &series(VM, over)).await > 0);
    }
    let after = process(first.get(web()).await.unwrap().vm);
    assert_ne!(before, after, "it was never away");
    first.delete(web(), true, Change::default()).await.unwrap();
}

/// An image that one node shares is fetched by another, which is called over gRPC; what it is made of goes over iroh.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_goes_from_one_node_to_another() {
    let cluster = Cluster::start("images", 2).await;
    let content: Vec<u8> = (0..1 << 20).map(|at: u32| (at >> 9) as u8).collect();
    super::fs::write(cluster.folder.path().join("images/disk.raw"), &content).unwrap();
    let images = |id| ImagesClient::new(cluster.admin.channels[&id].clone()).with(patience());
    let (origin, getter) = (images(1), images(2));
    let shared = origin.share("base".into(), "disk.raw".into(), ImageFormat::Raw, vec![]);
    let mut shared = shared.await.unwrap();
    while let Some(event) = patiently(shared.next()).await {
        event.unwrap();
    }
    let hash = origin.describe("base".into()).await.unwrap().image.hash;
    let member = &cluster.layout.members[0];
    let provider = Provider {
        key: member.key.to_string(),
        addresses: vec![member.iroh.to_string()],
        ..Provider::default()
    };
    let fetched = getter.get("base".into(), hash, ImageFormat::Raw, vec![provider]);
    let mut fetched = fetched.await.unwrap();
    while let Some(event) = patiently(fetched.next()).await {
        event.unwrap();
    }
    let image = getter.describe("base".into()).await.unwrap().image;
    assert_eq!(image.state, ImageState::Ready);
    let fetched = "blixard_image_bytes{kind=\"fetched\"}";
    assert_eq!(cluster.count(2, fetched).await, content.len() as u64);
}

impl Cluster {
    /// Has a node carry these services so, and call the other members so.
    async fn move_over(&self, id: u64, services: &[&str], carry: &str, raft: &str) {
        let file = super::fs::read_to_string(self.file(id)).unwrap();
        let (before, rest) = file.split_once("[migration]").unwrap();
        let (_, rest) = rest.split_once("[node]").unwrap();
        let (node, rest) = rest.split_once("[raft]").unwrap();
        let (_, rest) = rest.split_once("[vm]").unwrap();
        let mut migration = "carry = \"grpc\"\n".to_owned();
        for service in services {
            // What was moved in an earlier step stays there.
            let carry = if *service == services[services.len() - 1] || services.len() == 2 {
                carry
            } else {
                "iroh"
            };
            migration += &format!("[migration.services.\"{service}\"]\ncarry = \"{carry}\"\n");
        }
        let raft = format!("cluster = \"demo\"\ncarry = \"{raft}\"\n");
        let text =
            format!("{before}[migration]\n{migration}\n[node]{node}[raft]\n{raft}\n[vm]{rest}");
        self.write(id, |_| text);
        self.reload(id, "done").await;
    }

    /// Waits until calls of a service come over this on every node.
    async fn carried(&self, service: &str, over: &str) {
        let series = series(service, over);
        for member in &self.layout.members {
            let before = self.count(member.id, &series).await;
            let more = async {
                while self.count(member.id, &series).await == before {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            patiently(more).await;
        }
    }

    /// Waits until the leader calls all others over this.
    async fn members_speak_over(&self, over: &str) {
        let all_do = async {
            loop {
                let statuses = self.client.statuses().await;
                let leader = statuses
                    .iter()
                    .flatten()
                    .find(|it| it.leader == Some(it.id));
                if leader.is_some_and(|it| it.peers.iter().all(|peer| peer.over == over)) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        patiently(all_do).await;
    }

    /// That no call of a service comes over gRPC while others come over iroh.
    async fn carried_no_more(&self, service: &str) {
        for member in &self.layout.members {
            let over_grpc = series(service, "grpc");
            let before = self.count(member.id, &over_grpc).await;
            let over_iroh = series(service, "iroh");
            let begin = self.count(member.id, &over_iroh).await;
            let more = async {
                while self.count(member.id, &over_iroh).await < begin + 3 {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            patiently(more).await;
            assert_eq!(self.count(member.id, &over_grpc).await, before, "{service}");
        }
    }
}

fn series(service: &str, over: &str) -> String {
    format!("blixard_node_calls_carried_total{{service=\"{service}\",transport=\"{over}\"}}")
}

/// Calls of all nodes, of which none may fail.
struct Calls {
    stop: Arc<AtomicBool>,
    calls: Arc<AtomicU64>,
    lives: Arc<AtomicU64>,
    callers: JoinSet<()>,
}

impl Calls {
    fn start(cluster: &Cluster) -> Self {
        let mut calls = Self {
            stop: Arc::default(),
            calls: Arc::default(),
            lives: Arc::default(),
            callers: JoinSet::new(),
        };
        for channel in cluster.admin.channels.values() {
            let (stop, count) = (Arc::clone(&calls.stop), Arc::clone(&calls.calls));
            calls.callers.spawn(ask(channel.clone(), stop, count));
            let (stop, count) = (Arc::clone(&calls.stop), Arc::clone(&calls.lives));
            calls.callers.spawn(live(channel.clone(), stop, count));
        }
        calls
    }

    /// How many calls there were, and how many machines have lived.
    async fn stop(mut self) -> (u64, u64) {
        self.stop.store(true, Relaxed);
        while let Some(ended) = self.callers.join_next().await {
            ended.unwrap();
        }
        (self.calls.load(Relaxed), self.lives.load(Relaxed))
    }
}

async fn ask(channel: Channel, stop: Arc<AtomicBool>, count: Arc<AtomicU64>) {
    let health = NodeHealthClient::new(channel.clone()).with(patience());
    let status = NodeStatusClient::new(channel).with(patience());
    while !stop.load(Relaxed) {
        health.check().await.unwrap();
        health.ping(b"there?".to_vec().into()).await.unwrap();
        status.version().await.unwrap();
        status.cluster().await.unwrap();
        count.fetch_add(4, Relaxed);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Machines that are created, started, stopped and deleted, one after the other.
async fn live(channel: Channel, stop: Arc<AtomicBool>, count: Arc<AtomicU64>) {
    let vms = VmsClient::new(channel).with(patience());
    let name = || "web".to_owned();
    while !stop.load(Relaxed) {
        let created = vms.create(name(), nano(), Change::default()).await.unwrap();
        assert!(
            created.changed,
            "one call was made twice, or a machine has stayed"
        );
        let started = vms.start(name(), Change::default()).await.unwrap();
        assert!(started.changed);
        until(&vms, VmState::Running).await;
        let grace = Some(Duration::from_secs(30));
        vms.stop(name(), grace, Change::default()).await.unwrap();
        until(&vms, VmState::Stopped).await;
        vms.delete(name(), false, Change::default()).await.unwrap();
        let gone = async {
            while !vms.list(String::new()).await.unwrap().vms.is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        patiently(gone).await;
        count.fetch_add(1, Relaxed);
    }
}

async fn until(vms: &VmsClient, state: VmState) {
    let there = async {
        loop {
            let found = vms.get("web".into()).await.unwrap().vm;
            assert_ne!(found.state, VmState::Failed, "{:?}", found.reason);
            if found.state == state {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    patiently(there).await;
}

fn patience() -> CallOptions {
    CallOptions::new().deadline(Duration::from_secs(30))
}
