//! A cluster of three nodes in this process, for a moment.

use std::{fs, path::Path, time::Duration};

use crate::{Failure, init, node::Node, status};

/// Makes it, starts it, asks it how it is, and ends it.
///
/// # Errors
/// If any of that fails.
pub async fn run() -> Result<(), Failure> {
    let folder = std::env::temp_dir().join(format!("blixard-node-{}", std::process::id()));
    let shown = show(&folder).await;
    let removed = fs::remove_dir_all(&folder);
    shown?;
    Ok(removed?)
}

async fn show(folder: &Path) -> Result<(), Failure> {
    init::init(folder, NODES)?;
    println!("\nHere all of them run in this process:");
    let mut nodes = Vec::new();
    for id in 1..=NODES {
        nodes.push(Node::start(&folder.join(format!("node-{id}.toml"))).await?);
    }
    status::begin(folder).await?;
    for node in &nodes {
        tokio::time::timeout(PATIENCE, node.has_leader()).await?;
    }
    status::print(folder).await?;
    for node in nodes {
        node.shut_down().await;
    }
    println!("they have ended");
    Ok(())
}

const NODES: u64 = 3;
const PATIENCE: Duration = Duration::from_secs(10);
