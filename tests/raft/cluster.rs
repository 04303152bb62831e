//! A cluster of three processes over iroh, its files on a disk, and what real clusters meet: leaders and followers that are killed, and
//! that stand still for a while and go on. Faults come from a seed, which is printed.
//!
//! After every run no write that was acknowledged is lost, the history of some keys is that of one store, and the cluster goes on. A run
//! in which a planned fault did not happen fails.
//!
//! A short round runs with all tests; `RAFT_ROUNDS=100 cargo test --release -p blixard-tests --test raft` runs many.

#![allow(clippy::unwrap_used, reason = "tests say where they fail")]

mod history;

use std::{
    env, fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use blixard_raft_cluster::{
    api::Node,
    client::Client,
    layout::Layout,
    load::Load,
    process::Processes,
    show::{applied, check, elected},
};
use blixard_tests::seed::Seed;
use history::History;

/// What is done to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    KillLeader,
    KillFollower,
    StopLeader,
    StopFollower,
}

const ALL: [Fault; 4] = [
    Fault::KillLeader,
    Fault::KillFollower,
    Fault::StopLeader,
    Fault::StopFollower,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost() {
    let mut seed = Seed::of_this_run();
    let rounds = env::var("RAFT_ROUNDS").map_or(1, |it| it.parse().unwrap());
    for round in 0..rounds {
        // The last round of a long run can be had alone.
        let mut seed = if rounds == 1 {
            seed.clone()
        } else {
            seed.branch()
        };
        println!("round {round} of {rounds}: {seed:?}");
        run(&mut seed, rounds > 1).await;
    }
}

async fn run(seed: &mut Seed, long: bool) {
    let mut cluster = Cluster::start().await;
    let load = Load::start(&cluster.client, 8, 100);
    let history = History::record(&cluster.client, 4, seed);

    let mut plan = ALL.to_vec();
    if long {
        plan.extend((0..8).map(|_| ALL[seed.within(0..4) as usize]));
    }
    for left in (1..plan.len()).rev() {
        plan.swap(left, seed.within(0..left as u64 + 1) as usize);
    }
    let mut happened = Vec::new();
    for fault in &plan {
        let before = load.book().count();
        cluster.inject(*fault, seed, long).await;
        happened.push(*fault);
        // It goes on: something that was asked for after the fault was acknowledged.
        cluster
            .client
            .put(&format!("after/{}", happened.len()), "yes")
            .await;
        println!(
            "  {fault:?}: {} writes meanwhile",
            load.book().count() - before
        );
    }
    assert_eq!(happened, plan, "a fault that was planned did not happen");

    let book = load.stop().await;
    let written = check(&cluster.client, &cluster.layout, &book)
        .await
        .unwrap();
    let (seen, unclear) = history.judge().await;
    println!("  {written} writes, none lost; {seen} operations in order, {unclear} unclear");
    assert!(
        written > 100 && seen > 100,
        "too little happened to say anything"
    );
}

struct Cluster {
    layout: Layout,
    processes: Processes,
    client: Arc<Client>,
    _folder: Folder,
}

impl Cluster {
    async fn start() -> Self {
        let folder = Folder::new();
        let layout = Layout::create(&folder.0, 3).unwrap();
        let mut processes = Processes::new(vec![env!("CARGO_BIN_EXE_raft_node").to_owned()]);
        for member in &layout.members {
            processes.start(&layout, member.id).await.unwrap();
        }
        let client = Arc::new(Client::new(&layout).await.unwrap());
        client.node(1).unwrap().begin(vec![1, 2, 3]).await.unwrap();
        elected(&client, None).await.unwrap();
        Self {
            layout,
            processes,
            client,
            _folder: folder,
        }
    }

    /// Does it, makes sure that it was done, and waits until the node is as far as the others again.
    async fn inject(&mut self, fault: Fault, seed: &mut Seed, long: bool) {
        let leader = elected(&self.client, None).await.unwrap();
        let term = self.term(leader).await;
        let follower = (leader + seed.within(0..2)) % 3 + 1;
        let of_leader = matches!(fault, Fault::KillLeader | Fault::StopLeader);
        let node = if of_leader { leader } else { follower };
        match fault {
            Fault::KillLeader | Fault::KillFollower => {
                self.processes.kill(node).await.unwrap();
                assert!(!self.processes.running().contains(&node));
                if of_leader {
                    let next = elected(&self.client, Some(leader)).await.unwrap();
                    assert!(self.term(next).await > term, "another term");
                }
                self.client
                    .put(&format!("without/{node}/{term}"), "yes")
                    .await;
                self.processes.start(&self.layout, node).await.unwrap();
            }
            Fault::StopLeader | Fault::StopFollower => {
                let longest = if long { 10_000 } else { 2_500 };
                let time = Duration::from_millis(seed.within(1_500..longest));
                self.processes.stop(node).await.unwrap();
                let until = Instant::now() + time;
                if of_leader {
                    let next = elected(&self.client, Some(leader)).await.unwrap();
                    assert!(self.term(next).await > term, "another term");
                }
                // This is the fault, and not waiting for something.
                tokio::time::sleep_until(until.into()).await;
                self.processes.go_on(node).await.unwrap();
            }
        }
        let leader = elected(&self.client, None).await.unwrap();
        let end = self
            .client
            .node(leader)
            .unwrap()
            .status()
            .await
            .unwrap()
            .committed;
        applied(&self.client, node, end).await.unwrap();
    }

    async fn term(&self, node: u64) -> u64 {
        self.client.node(node).unwrap().status().await.unwrap().term
    }
}

/// A folder that goes with the test, unless it fails: then it is evidence.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(env::temp_dir().join(format!("blixard-cluster-{}-{next}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the files are in {}", self.0.display());
        } else {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}
