//! Members that are processes, on the disk before they acknowledge: writes, the leader killed, and transports switched.

use std::{env, sync::Arc, time::Duration};

use blixard_raft_cluster::{
    api::Node as _,
    client::Client,
    layout::Layout,
    load::Load,
    process::Processes,
    show::{applied, check, elected},
};
use blixard_rpc::runner::Mode;

use crate::{
    Outcome, Plan,
    commits::CLIENTS,
    nodes::Folder,
    report::{
        Least::{Any, Over, Under},
        Report,
        Unit::{Millis, PerSecond, Times},
        millis, quantile,
    },
};

/// The members' shortest election timeout, and the longest.
const ELECTION: [Duration; 2] = [Duration::from_millis(150), Duration::from_millis(300)];

struct Cluster {
    mode: Mode,
    layout: Layout,
    client: Arc<Client>,
    processes: Processes,
    _folder: Folder,
}

impl Cluster {
    async fn start(mode: Mode) -> Outcome<Self> {
        let folder = Folder::new();
        let layout = Layout::create(&folder.0, 3)?;
        let this = env::current_exe()?.to_string_lossy().into_owned();
        let mut processes = Processes::new(vec![this, "node".to_owned()]);
        for member in &layout.members {
            processes.start(&layout, member.id).await?;
        }
        let client = Arc::new(Client::new(&layout).await.map_err(plain)?);
        let cluster = Self {
            mode,
            layout,
            client,
            processes,
            _folder: folder,
        };
        cluster.carry(mode).await?;
        cluster.client.node(1)?.begin(vec![1, 2, 3]).await?;
        elected(&cluster.client, None).await.map_err(plain)?;
        Ok(cluster)
    }

    async fn carry(&self, mode: Mode) -> Outcome<()> {
        for member in &self.layout.members {
            self.carry_one(member.id, mode).await?;
        }
        Ok(())
    }

    /// The client may not have heard yet that the node is there again.
    async fn carry_one(&self, id: u64, mode: Mode) -> Outcome<()> {
        let node = self.client.node(id)?;
        while node.carry(mode.name().to_owned()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

fn plain(error: Box<dyn std::error::Error>) -> String {
    error.to_string()
}

/// Many clients; what they wrote is looked for at the end.
pub(crate) async fn writes(plan: &Plan, report: &mut Report) -> Outcome<()> {
    let mut clusters = Vec::new();
    for mode in &plan.over {
        clusters.push(Cluster::start(*mode).await?);
    }
    for _ in 0..plan.rounds {
        let mut grpc = None;
        for cluster in &clusters {
            let load = Load::start(&cluster.client, CLIENTS, 64);
            tokio::time::sleep(plan.time / 4).await;
            let from = load.book().now();
            tokio::time::sleep(plan.time).await;
            let measured = load.book().measured(from, load.book().now());
            load.stop().await;
            let (name, rate) = (cluster.mode.name(), measured.rate());
            report.add(
                "writes, three processes, fsync, 256 clients",
                PerSecond,
                Over(5_000.0),
                name,
                rate,
            );
            report.add("- fsync, p50", Millis, Any, name, millis(measured.median));
            report.add("- fsync, p99", Millis, Any, name, millis(measured.p99));
            match (cluster.mode, grpc) {
                (Mode::Grpc, _) => grpc = Some(rate),
                (_, Some(grpc)) => {
                    report.add("- fsync, beside gRPC", Times, Over(1.0), name, rate / grpc)
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// The leader is killed, again and again: until a write is acknowledged that was asked for afterwards.
pub(crate) async fn kill(plan: &Plan, report: &mut Report) -> Outcome<()> {
    for mode in &plan.over {
        let mut cluster = Cluster::start(*mode).await?;
        let load = Load::start(&cluster.client, 8, 64);
        let mut took = Vec::new();
        for _ in 0..plan.times {
            let leader = elected(&cluster.client, None).await.map_err(plain)?;
            cluster.processes.kill(leader).await?;
            let moment = load.book().now();
            // What was on its way to a client is no proof that somebody leads.
            let first = loop {
                if let Some(first) = load.book().first_after(moment + Duration::from_millis(20)) {
                    break first;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            };
            took.push(millis(first - moment));
            cluster.processes.start(&cluster.layout, leader).await?;
            cluster.carry_one(leader, *mode).await?;
            let next = elected(&cluster.client, None).await.map_err(plain)?;
            let end = cluster.client.node(next)?.status().await?.committed;
            applied(&cluster.client, leader, end).await.map_err(plain)?;
        }
        let book = load.stop().await;
        check(&cluster.client, &cluster.layout, &book)
            .await
            .map_err(plain)?;
        let name = mode.name();
        report.add(
            "leader killed, first commit, p50",
            Millis,
            Under(600.0),
            name,
            quantile(&took, 0.5),
        );
        report.add(
            "leader killed, first commit, max",
            Millis,
            Under(2000.0),
            name,
            quantile(&took, 1.0),
        );
    }
    Ok(())
}

/// All members go over to another transport while clients write: the longest time in which nothing was acknowledged.
pub(crate) async fn switch(plan: &Plan, report: &mut Report) -> Outcome<()> {
    let cluster = Cluster::start(Mode::Iroh).await?;
    let load = Load::start(&cluster.client, 16, 64);
    tokio::time::sleep(plan.time / 2).await;
    for _ in 0..plan.times.div_ceil(10) {
        for mode in [Mode::Dual, Mode::Grpc, Mode::Iroh] {
            let from = load.book().now();
            cluster.carry(mode).await?;
            tokio::time::sleep(plan.time / 2).await;
            let gap = load.book().measured(from, load.book().now()).longest_gap;
            let most = Under(millis(ELECTION[1]));
            report.add(
                "switched to it, longest gap in commits",
                Millis,
                most,
                mode.name(),
                millis(gap),
            );
        }
    }
    let book = load.stop().await;
    check(&cluster.client, &cluster.layout, &book)
        .await
        .map_err(plain)?;
    Ok(())
}
