//! Commits of members in one process, their logs in memory: what the transport and the engine cost, without a disk.

use std::time::{Duration, Instant};

use blixard_raft_cluster::kv::Command;
use blixard_rpc::runner::Mode;
use futures_util::future::try_join_all;

use crate::{
    Outcome, Plan,
    nodes::{Cluster, Consensus, Sites},
    report::{
        Least::{Any, Over, Under},
        Report,
        Unit::{Millis, PerSecond, Times},
        millis, quantile,
    },
};

pub(crate) const CLIENTS: usize = 256;
/// Long enough that a machine which does all of it at once holds no elections.
const ELECTION: Duration = Duration::from_secs(2);

pub(crate) fn command(number: usize) -> Command {
    Command::Put {
        key: format!("{:08}", number % 10_000),
        value: "x".repeat(56),
    }
}

/// So many clients write without a pause; how long each write took, in milliseconds.
pub(crate) async fn load(raft: &Consensus, clients: usize, time: Duration) -> Outcome<Vec<f64>> {
    let until = Instant::now() + time;
    let writing = (0..clients).map(|client| {
        let raft = raft.clone();
        tokio::spawn(async move {
            let (mut took, mut number) = (Vec::new(), client);
            while Instant::now() < until {
                let asked = Instant::now();
                raft.client_write(command(number)).await?;
                took.push(millis(asked.elapsed()));
                number += clients;
            }
            Outcome::Ok(took)
        })
    });
    let mut all = Vec::new();
    for took in try_join_all(writing).await? {
        all.extend(took?);
    }
    Ok(all)
}

async fn clusters(plan: &Plan) -> Outcome<Vec<(Mode, Cluster)>> {
    let mut clusters = Vec::new();
    for mode in &plan.over {
        clusters.push((*mode, Cluster::start(*mode, ELECTION, |_| {}).await?));
    }
    Ok(clusters)
}

async fn stop(clusters: Vec<(Mode, Cluster)>) {
    for (_, cluster) in clusters {
        cluster.stop().await;
    }
}

/// Many clients.
pub(crate) async fn many(plan: &Plan, report: &mut Report) -> Outcome<()> {
    let clusters = clusters(plan).await?;
    for (_, cluster) in &clusters {
        load(&cluster.leader().await?.raft, CLIENTS, plan.time / 2).await?;
    }
    for _ in 0..plan.rounds {
        let mut grpc = None;
        for (mode, cluster) in &clusters {
            let began = Instant::now();
            let took = load(&cluster.leader().await?.raft, CLIENTS, plan.time).await?;
            let rate = took.len() as f64 / began.elapsed().as_secs_f64();
            let name = mode.name();
            report.add(
                "commits, one process, 256 clients, 64 B",
                PerSecond,
                Over(30_000.0),
                name,
                rate,
            );
            report.add(
                "- one process, p50",
                Millis,
                Any,
                name,
                quantile(&took, 0.5),
            );
            report.add(
                "- one process, p99",
                Millis,
                Any,
                name,
                quantile(&took, 0.99),
            );
            match (mode, grpc) {
                (Mode::Grpc, _) => grpc = Some(rate),
                (_, Some(grpc)) => report.add(
                    "- one process, beside gRPC",
                    Times,
                    Over(1.0),
                    name,
                    rate / grpc,
                ),
                _ => {}
            }
        }
    }
    stop(clusters).await;
    Ok(())
}

/// Many clients, where each packet takes 10 ms and one in a hundred is lost.
pub(crate) async fn lossy(plan: &Plan, report: &mut Report) -> Outcome<()> {
    const WHAT: &str = "commits, 1 % loss, 20 ms";
    let mut clusters = Vec::new();
    for mode in &plan.over {
        let cluster = Cluster::start_at(Sites::over_link()?, *mode, ELECTION, |_| {}).await?;
        load(&cluster.leader().await?.raft, CLIENTS, plan.time / 2).await?;
        clusters.push((*mode, cluster));
    }
    for _ in 0..plan.rounds {
        for clients in [1, CLIENTS] {
            let mut grpc = None;
            for (mode, cluster) in &clusters {
                let began = Instant::now();
                let took = load(&cluster.leader().await?.raft, clients, plan.time).await?;
                let rate = took.len() as f64 / began.elapsed().as_secs_f64();
                let (name, many) = (mode.name(), clients > 1);
                let of = format!("{WHAT}, {clients} client{}", if many { "s" } else { "" });
                report.add(&of, PerSecond, Any, name, rate);
                for (what, share) in [("p50", 0.5), ("p99", 0.99)] {
                    let took = quantile(&took, share);
                    report.add(&format!("{of}, {what}"), Millis, Any, name, took);
                }
                match (mode, grpc) {
                    (Mode::Grpc, _) => grpc = Some(rate),
                    (_, Some(grpc)) => {
                        let beside = format!("{of}, beside gRPC");
                        report.add(&beside, Times, Over(1.0), name, rate / grpc);
                    }
                    _ => {}
                }
            }
        }
    }
    stop(clusters).await;
    Ok(())
}

/// One client, who waits for each commit.
pub(crate) async fn one(plan: &Plan, report: &mut Report) -> Outcome<()> {
    let clusters = clusters(plan).await?;
    for _ in 0..plan.rounds {
        for (mode, cluster) in &clusters {
            let took = load(&cluster.leader().await?.raft, 1, plan.time).await?;
            report.add(
                "one client, commit p50",
                Millis,
                Under(1.0),
                mode.name(),
                quantile(&took, 0.5),
            );
            report.add(
                "one client, commit p99",
                Millis,
                Under(5.0),
                mode.name(),
                quantile(&took, 0.99),
            );
        }
    }
    stop(clusters).await;
    Ok(())
}

/// Windows for which appends are held back.
pub(crate) async fn windows(plan: &Plan, report: &mut Report) -> Outcome<()> {
    let mut clusters = Vec::new();
    for window in [0, 1, 5, 10] {
        for mode in &plan.over {
            let window_time = Duration::from_millis(window);
            let cluster =
                Cluster::start(*mode, ELECTION, |config| config.append_window = window_time)
                    .await?;
            clusters.push((window, *mode, cluster));
        }
    }
    let time = plan.time / 2;
    for _ in 0..plan.rounds.div_ceil(2) {
        for (window, mode, cluster) in &clusters {
            for clients in [1, 16, CLIENTS] {
                let began = Instant::now();
                let took = load(&cluster.leader().await?.raft, clients, time).await?;
                let rate = took.len() as f64 / began.elapsed().as_secs_f64();
                let what = format!("window {window} ms, {clients} clients");
                report.add(&what, PerSecond, Any, mode.name(), rate);
                report.add(
                    &format!("{what}, p50"),
                    Millis,
                    Any,
                    mode.name(),
                    quantile(&took, 0.5),
                );
            }
        }
    }
    for (.., cluster) in clusters {
        cluster.stop().await;
    }
    Ok(())
}

/// The lead is handed over and over, under a light load: until the next one leads and commits.
pub(crate) async fn transfer(plan: &Plan, report: &mut Report) -> Outcome<()> {
    let clusters = clusters(plan).await?;
    for (mode, cluster) in &clusters {
        let mut took = Vec::new();
        for number in 0..plan.times {
            let leader = cluster.leader().await?;
            let from = *leader.raft.node_id();
            // It has to have all; what is written by one client is there soon.
            leader.raft.client_write(command(number)).await?;
            let to = from % 3 + 1;
            let next = &cluster.members[to as usize - 1].raft;
            let began = Instant::now();
            leader.raft.trigger().transfer_leader(to).await?;
            while next.client_write(command(number)).await.is_err() {
                tokio::task::yield_now().await;
            }
            took.push(millis(began.elapsed()));
        }
        report.add(
            "leader transfer, p50",
            Millis,
            Any,
            mode.name(),
            quantile(&took, 0.5),
        );
        report.add(
            "leader transfer, p99",
            Millis,
            Under(200.0),
            mode.name(),
            quantile(&took, 0.99),
        );
    }
    stop(clusters).await;
    Ok(())
}
