//! A replicated key-value store on three processes, which lose their leader and change transports under load.
//!
//! `cargo run --release --example raft_cluster`; `-- node <FOLDER> <ID>` runs one node, `-- bench [SECONDS] [WRITERS]` measures.
//!
//! The cluster is a package of its own, in `raft_cluster/`: it needs a Raft engine, a database and gRPC, and what one default member
//! needs cargo builds into all. So this starts it: with cargo if cargo has started this, else the program that lies beside.

use std::{
    env,
    error::Error,
    process::{Command, ExitCode},
};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut command = match env::var_os("CARGO") {
        Some(cargo) => {
            let mut command = Command::new(cargo);
            command.args(["run", "--package", "blixard-raft-cluster"]);
            if !cfg!(debug_assertions) {
                command.arg("--release");
            }
            command.arg("--");
            command
        }
        None => {
            let beside = env::current_exe()?;
            let folder = beside.parent().and_then(|examples| examples.parent());
            let folder = folder.ok_or("an example lies in a folder of a folder")?;
            let name = format!("raft_cluster{}", env::consts::EXE_SUFFIX);
            Command::new(folder.join(name))
        }
    };
    let status = command
        .args(env::args_os().skip(1))
        .status()
        .map_err(|error| format!("{command:?} cannot be started: {error}"))?;
    Ok(match status.code() {
        Some(0) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}
