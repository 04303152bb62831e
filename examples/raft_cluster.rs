//! A replicated key-value store on three processes, which lose their leader and change transports under load.
//!
//! `cargo run --release --example raft_cluster`; `-- node <FOLDER> <ID>` runs one node, `-- bench [SECONDS] [WRITERS]` measures. The cluster
//! is a package of its own, in `raft_cluster/`.

use std::{error::Error, process::ExitCode};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    blixard_examples::run_package("blixard-raft-cluster", "raft_cluster")
}
