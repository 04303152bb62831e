//! A node of the clusters of `main.rs`: `whole_node <FOLDER> <ID>`.

use std::{env, path::Path};

use blixard_node::{Failure, node};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [folder, id] = &arguments[..] else {
        return Err("usage: whole_node <FOLDER> <ID>".into());
    };
    node::run(&Path::new(folder).join(format!("node-{id}.toml"))).await
}
