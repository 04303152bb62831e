//! What is done to a cluster, and the proof that it was done.

use std::time::{Duration, Instant};

use blixard_raft_cluster::{api::Node as _, show::elected};
use blixard_tests::seed::Seed;

use crate::{Cluster, space::Drop};

/// What is done to a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The leader is killed, and started again when another one leads.
    KillLeader,
    KillFollower,
    /// The leader stands still, and goes on as if it led yet.
    StopLeader,
    StopFollower,
    /// Nodes are killed one after another, and started again at once.
    Storm,
    /// The leader is alone: the others are the majority.
    LeaderAlone,
    FollowerAlone,
    /// The leader and one follower do not reach each other; the other follower reaches both.
    PairCut,
    /// The leader is not heard, and hears.
    LeaderMute,
    /// The leader hears nobody, and is heard.
    LeaderDeaf,
    /// Nobody reaches anybody: nothing may be acknowledged.
    AllApart,
    /// No UDP: what prefers iroh goes over to gRPC, and comes back.
    NoUdp,
    /// A follower that is cut off is removed, and taken in again.
    MemberChange,
    /// Each twentieth packet is lost.
    Loss,
}

impl Fault {
    /// What can be done to processes anywhere.
    pub(crate) const OF_PROCESSES: [Self; 5] = [
        Self::KillLeader,
        Self::KillFollower,
        Self::StopLeader,
        Self::StopFollower,
        Self::Storm,
    ];

    /// What takes a network of one's own.
    pub(crate) const OF_NETWORKS: [Self; 9] = [
        Self::LeaderAlone,
        Self::FollowerAlone,
        Self::PairCut,
        Self::LeaderMute,
        Self::LeaderDeaf,
        Self::AllApart,
        Self::NoUdp,
        Self::MemberChange,
        Self::Loss,
    ];
}

impl Cluster<'_> {
    /// Does it, makes sure that it was done, and waits until all nodes are as far as the leader again.
    pub(crate) async fn inject(&mut self, fault: Fault, seed: &mut Seed) {
        let leader = elected(&self.client, None).await.unwrap();
        let follower = (leader + seed.within(0..2)) % 3 + 1;
        let other = 6 - leader - follower;
        let all_of = |one| {
            let others = (1..=3).filter(move |id| *id != one);
            others
                .flat_map(move |id| [Drop::From(one, id), Drop::From(id, one)])
                .collect::<Vec<_>>()
        };
        match fault {
            Fault::KillLeader => self.kill(leader, true).await,
            Fault::KillFollower => self.kill(follower, false).await,
            Fault::StopLeader => self.stop(leader, true, seed).await,
            Fault::StopFollower => self.stop(follower, false, seed).await,
            Fault::Storm => self.storm(seed).await,
            Fault::LeaderAlone => self.cut(&all_of(leader), Some(leader), seed).await,
            Fault::FollowerAlone => self.cut(&all_of(follower), None, seed).await,
            Fault::PairCut => {
                let drops = [Drop::From(leader, follower), Drop::From(follower, leader)];
                self.cut(&drops, None, seed).await;
            }
            Fault::LeaderMute => {
                let drops = [Drop::From(leader, follower), Drop::From(leader, other)];
                self.cut(&drops, Some(leader), seed).await;
            }
            Fault::LeaderDeaf => {
                let drops = [Drop::From(follower, leader), Drop::From(other, leader)];
                self.cut(&drops, Some(leader), seed).await;
            }
            Fault::AllApart => {
                self.apart(&[all_of(leader), all_of(follower)].concat(), seed)
                    .await
            }
            Fault::NoUdp => self.no_udp(leader).await,
            Fault::MemberChange => self.change_members(follower, &all_of(follower)).await,
            Fault::Loss => self.cut(&[Drop::Share(5)], None, seed).await,
        }
        self.caught_up().await;
    }

    async fn kill(&mut self, node: u64, leads: bool) {
        let term = self.status(node).await.term;
        self.processes.kill(node).await.unwrap();
        assert!(!self.processes.running().contains(&node));
        if leads {
            self.led_by_another(node, term).await;
        }
        self.client
            .put(&format!("without/{node}/{term}"), "yes")
            .await;
        self.processes.start(&self.layout, node).await.unwrap();
    }

    async fn stop(&self, node: u64, leads: bool, seed: &mut Seed) {
        let term = self.status(node).await.term;
        let longest = if self.long { 10_000 } else { 2_500 };
        let time = Duration::from_millis(seed.within(1_500..longest));
        self.processes.stop(node).await.unwrap();
        let until = Instant::now() + time;
        if leads {
            self.led_by_another(node, term).await;
        }
        // This is the fault, and not waiting for something.
        tokio::time::sleep_until(until.into()).await;
        self.processes.go_on(node).await.unwrap();
    }

    async fn storm(&mut self, seed: &mut Seed) {
        for _ in 0..if self.long { 12 } else { 5 } {
            let node = seed.within(1..4);
            self.processes.kill(node).await.unwrap();
            assert!(!self.processes.running().contains(&node));
            self.processes.start(&self.layout, node).await.unwrap();
        }
    }

    /// Loses packets for a while; if the leader is one of those who are cut off, until another one leads.
    async fn cut(&self, drops: &[Drop], leader: Option<u64>, seed: &mut Seed) {
        let space = self.space.expect("it takes a network of its own");
        let until = Instant::now() + self.pause(seed);
        let term = match leader {
            Some(leader) => self.status(leader).await.term,
            None => 0,
        };
        space.set(drops);
        if let Some(leader) = leader {
            self.led_by_another(leader, term).await;
        }
        // A majority is there all the time.
        self.client.put(&format!("despite/{term}"), "yes").await;
        tokio::time::sleep_until(until.into()).await;
        assert!(space.heal() > 0, "no packet was dropped");
    }

    /// Nobody reaches anybody for a while.
    async fn apart(&self, drops: &[Drop], seed: &mut Seed) {
        let space = self.space.expect("it takes a network of its own");
        let pause = self.pause(seed);
        space.set(drops);
        let client = &self.client;
        let writing = tokio::time::timeout(pause, client.put("apart", "yes"));
        let first = writing.await;
        // What was on its way when the network was cut may have been committed; what is asked for now cannot be.
        let second = tokio::time::timeout(pause, client.put("apart", "still")).await;
        assert!(
            second.is_err(),
            "a write was acknowledged that no majority can have: {first:?}"
        );
        assert!(space.heal() > 0, "no packet was dropped");
    }

    async fn no_udp(&self, leader: u64) {
        let space = self.space.expect("it takes a network of its own");
        self.carry("dual").await;
        self.goes_over("iroh").await;
        space.set(&[Drop::Udp]);
        self.goes_over("grpc").await;
        self.client.put(&format!("by tcp/{leader}"), "yes").await;
        assert!(space.heal() > 0, "no packet was dropped");
        self.goes_over("iroh").await;
        self.carry("iroh").await;
    }

    async fn change_members(&self, out: u64, drops: &[Drop]) {
        let space = self.space.expect("it takes a network of its own");
        space.set(drops);
        self.set_voters((1..=3).filter(|id| *id != out).collect())
            .await;
        self.client
            .put(&format!("without member/{out}"), "yes")
            .await;
        assert!(space.dropped() > 0, "no packet was dropped");
        // It comes back while packets are lost.
        space.set(&[Drop::Share(3)]);
        self.set_voters(vec![1, 2, 3]).await;
        assert!(space.heal() > 0, "no packet was dropped");
    }

    /// Asks whoever leads, until these are the voters.
    async fn set_voters(&self, voters: Vec<u64>) {
        loop {
            let leader = elected(&self.client, None).await.unwrap();
            let node = self.client.node(leader).unwrap();
            let asked = node.voters(voters.clone()).await;
            let mut now = self.status(leader).await.voters;
            now.sort_unstable();
            if asked.is_ok() && now == voters {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn carry(&self, mode: &str) {
        for member in &self.layout.members {
            let node = self.client.node(member.id).unwrap();
            node.carry(mode.to_owned()).await.unwrap();
        }
    }

    /// Waits until the leader reaches all others over this.
    async fn goes_over(&self, transport: &str) {
        loop {
            let leader = elected(&self.client, None).await.unwrap();
            let status = self.status(leader).await;
            if status
                .peers
                .iter()
                .filter(|it| it.id != leader)
                .all(|it| it.over == transport)
            {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn led_by_another(&self, leader: u64, term: u64) {
        let next = elected(&self.client, Some(leader)).await.unwrap();
        assert!(self.status(next).await.term > term, "another term");
    }

    /// How long it lasts at least.
    fn pause(&self, seed: &mut Seed) -> Duration {
        Duration::from_millis(seed.within(500..if self.long { 8_000 } else { 1_500 }))
    }
}

const POLL: Duration = Duration::from_millis(20);
