//! A cluster of three processes, its files on a disk, and what real clusters meet: leaders and followers that are killed, and that stand
//! still for a while and go on; networks that are cut in every way, or carry no UDP. Faults come from a seed, which is printed.
//!
//! After every run no write that was acknowledged is lost, the history of some keys is that of one store, and the cluster goes on. A run
//! in which a planned fault did not happen fails.
//!
//! A short round runs with all tests; `RAFT_ROUNDS=100 cargo test --release -p blixard-tests --test raft` runs many (`just raft 100`).
//! What the network does is done in namespaces of Linux; where these are not permitted, that part says that it was skipped.

#![allow(clippy::unwrap_used, reason = "tests say where they fail")]

mod fault;
mod history;
mod space;

use std::{env, sync::Arc, time::Instant};

use blixard_raft_cluster::{
    api::{Node, NodeStatus},
    client::Client,
    layout::Layout,
    load::Load,
    process::Processes,
    show::{applied, check, elected},
};
use blixard_tests::{folder::Folder, seed::Seed};
use fault::Fault;
use history::History;
use space::Space;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost() {
    rounds(&Fault::OF_PROCESSES, None).await;
}

#[test]
fn no_acknowledged_write_is_lost_in_a_bad_network() {
    if !space::enter("no_acknowledged_write_is_lost_in_a_bad_network") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let space = Space::new(3);
    runtime
        .unwrap()
        .block_on(rounds(&Fault::OF_NETWORKS, Some(&space)));
}

async fn rounds(faults: &[Fault], space: Option<&Space>) {
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
        run(faults, space, &mut seed, rounds > 1).await;
    }
}

async fn run(faults: &[Fault], space: Option<&Space>, seed: &mut Seed, long: bool) {
    let mut cluster = Cluster::start(space, long).await;
    let load = Load::start(&cluster.client, 8, 100);
    let history = History::record(&cluster.client, 4, seed);

    let mut plan = faults.to_vec();
    if long {
        let all = [&Fault::OF_PROCESSES[..], faults].concat();
        plan.extend((0..12).map(|_| all[seed.within(0..all.len() as u64) as usize]));
    }
    for left in (1..plan.len()).rev() {
        plan.swap(left, seed.within(0..left as u64 + 1) as usize);
    }
    let mut happened = Vec::new();
    for fault in &plan {
        let (began, before) = (Instant::now(), load.book().count());
        cluster.inject(*fault, seed).await;
        happened.push(*fault);
        // It goes on: something that was asked for after the fault was acknowledged.
        cluster
            .client
            .put(&format!("after/{}", happened.len()), "yes")
            .await;
        println!(
            "  {fault:?}: {} writes in {:.1?}",
            load.book().count() - before,
            began.elapsed()
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

struct Cluster<'a> {
    layout: Layout,
    processes: Processes,
    client: Arc<Client>,
    /// Where its nodes are, if not on loopback.
    space: Option<&'a Space>,
    long: bool,
    _folder: Folder,
}

impl<'a> Cluster<'a> {
    async fn start(space: Option<&'a Space>, long: bool) -> Self {
        let folder = Folder::new("cluster");
        let program = env!("CARGO_BIN_EXE_raft_node");
        let (layout, command) = match space {
            Some(space) => (
                Layout::create_at(folder.path(), &space.addresses()),
                space.command(program),
            ),
            None => (Layout::create(folder.path(), 3), vec![program.to_owned()]),
        };
        let layout = layout.unwrap();
        let mut processes = Processes::new(command);
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
            space,
            long,
            _folder: folder,
        }
    }

    /// Waits until all nodes are as far as the leader is now.
    async fn caught_up(&self) {
        let leader = elected(&self.client, None).await.unwrap();
        let end = self.status(leader).await.committed;
        for member in &self.layout.members {
            applied(&self.client, member.id, end).await.unwrap();
        }
    }

    /// How a node is, which answers sooner or later.
    async fn status(&self, node: u64) -> NodeStatus {
        loop {
            if let Ok(status) = self.client.node(node).unwrap().status().await {
                return status;
            }
        }
    }
}
