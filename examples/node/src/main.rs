//! A node of a cluster, and what is needed to have one: see `lib.rs`.

use std::{io::IsTerminal, path::Path};

use blixard_node::{Failure, init, node, show, status};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    // The engine says of every message to a member that is away that it was not sent; `raft` says so once, in the health of the node.
    let filter = EnvFilter::try_from_default_env();
    tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|_| EnvFilter::new("warn,openraft=error")))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => show::run().await,
        ["init", folder] => init::init(Path::new(folder), 3),
        ["init", folder, nodes] => init::init(Path::new(folder), nodes.parse()?),
        ["run", file] => node::run(Path::new(file)).await,
        ["begin", folder] => status::begin(Path::new(folder)).await,
        ["status", folder] => status::print(Path::new(folder)).await,
        _ => Err(USAGE.into()),
    }
}

const USAGE: &str =
    "usage: node                         shows a cluster of three, in this process, for a moment
       node init <FOLDER> [NODES]   makes the keys and files of a cluster on this machine
       node run <FILE>              runs a node
       node begin <FOLDER>          makes its nodes a cluster, once
       node status <FOLDER>         asks its nodes how they are";
