//! All services of a node in one process, over gRPC, iroh or both, as a TOML file says.
//!
//! `cargo run --release --example node` shows a cluster of three for a moment; `-- init demo` makes one in the folder `demo`, and says how to
//! start it. The node is a package of its own, in `node/`.

use std::{error::Error, process::ExitCode};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    blixard_examples::run_package("blixard-node", "node")
}
