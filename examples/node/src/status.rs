//! What an administrator does from outside: begins a cluster, and asks its members how they are.

use std::{collections::BTreeMap, path::Path, time::Duration};

use blixard_raft_cluster::{
    api::{Node, NodeClient},
    layout::Layout,
    node::Failure,
};
use blixard_rpc::{
    CallOptions, Channel, Pool,
    runner::DualChannel,
    transport::{
        grpc::{ClientTls, GrpcConnector, GrpcPeer},
        iroh::{Endpoint, IrohConnector, bind, presets},
    },
};
use blixard_services::{
    node::{NodeHealth, NodeHealthClient},
    status::{NodeStatus, NodeStatusClient},
};

/// Whoever administers a cluster that `init` has made.
#[derive(Debug)]
pub struct Admin {
    endpoint: Endpoint,
    /// A channel to each member, over iroh and gRPC.
    pub channels: BTreeMap<u64, Channel>,
}

impl Admin {
    /// The one of the cluster in this folder.
    ///
    /// # Errors
    /// If there is none.
    pub async fn of(folder: &Path) -> Result<Self, Failure> {
        let layout = Layout::open(folder)
            .map_err(|error| format!("{}: no cluster was made here: {error}", folder.display()))?;
        let endpoint = bind(presets::Minimal, layout.client_secret()?).await?;
        let iroh = Pool::new(IrohConnector::new(endpoint.clone()));
        let [authority, certificate, key] = layout.client_certificates()?;
        let tls = ClientTls::mutual(&authority, &certificate, &key)?;
        let grpc = Pool::new(GrpcConnector::new().tls(tls));
        let mut channels = BTreeMap::new();
        for member in &layout.members {
            let there: GrpcPeer = format!("https://{}", member.grpc).parse()?;
            let dual = DualChannel::new(iroh.channel(member.peer()), grpc.channel(there));
            channels.insert(member.id, Channel::new(dual));
        }
        Ok(Self { endpoint, channels })
    }

    async fn close(self) {
        self.endpoint.close().await;
    }
}

/// Makes the members a cluster; once.
///
/// # Errors
/// If the first of them does not answer, or they are one already.
pub async fn begin(folder: &Path) -> Result<(), Failure> {
    let admin = Admin::of(folder).await?;
    let members: Vec<u64> = admin.channels.keys().copied().collect();
    let Some(first) = admin.channels.values().next() else {
        return Err("the cluster has no members".into());
    };
    let first = NodeClient::new(first.clone());
    first.with(patience()).begin(members.clone()).await?;
    // Whoever comes next finds a leader.
    while first.with(patience()).status().await?.leader.is_none() {
        tokio::time::sleep(PAUSE).await;
    }
    println!("{members:?} are a cluster");
    admin.close().await;
    Ok(())
}

/// Prints how each member is.
///
/// # Errors
/// If there is no cluster in this folder.
pub async fn print(folder: &Path) -> Result<(), Failure> {
    let admin = Admin::of(folder).await?;
    for (id, channel) in &admin.channels {
        let (health, status) = (
            NodeHealthClient::new(channel.clone()).with(patience()),
            NodeStatusClient::new(channel.clone()).with(patience()),
        );
        let (node, raft) = match tokio::try_join!(health.check(), status.raft()) {
            Ok(found) => found,
            Err(error) => {
                println!("node {id}: {error}");
                continue;
            }
        };
        println!(
            "node {id}: {:?}; {:?} in term {}, {} entries applied",
            node.state,
            raft.role,
            raft.term,
            raft.applied_index.map_or(0, |index| index + 1)
        );
        for part in node.components {
            println!("  {:<12} {:?} {}", part.name, part.state, part.reason);
        }
    }
    admin.close().await;
    Ok(())
}

const PAUSE: Duration = Duration::from_millis(20);

fn patience() -> CallOptions {
    CallOptions::new().deadline(Duration::from_secs(5))
}
