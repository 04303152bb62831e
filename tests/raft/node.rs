//! A node of the cluster of `cluster.rs`: `raft_node <FOLDER> <ID>`.

use std::{env, path::Path};

use blixard_raft_cluster::node;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), node::Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [folder, id] = &arguments[..] else {
        return Err("usage: raft_node <FOLDER> <ID>".into());
    };
    node::run(Path::new(folder), id.parse()?).await
}
