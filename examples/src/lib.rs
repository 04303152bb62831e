//! What the examples after the quickstart share: both ends of a connection in one process, and examples that are packages.

use std::{
    env,
    error::Error,
    process::{Command, ExitCode},
};

use blixard_rpc::{
    Channel, Router,
    transport::iroh::{IrohConnector, IrohServer, SecretKey, ServerHandle, bind, presets},
};

/// Serves `router` on one iroh endpoint and connects to it from another, over QUIC, as the quickstart does step by step.
///
/// The server goes on until its handle is shut down or the process ends.
///
/// # Errors
/// An endpoint could not be bound, or the dial failed.
pub async fn serve_and_connect(router: Router) -> Result<(Channel, ServerHandle), Box<dyn Error>> {
    let server = IrohServer::new(router);
    let server = server.spawn(bind(presets::Minimal, SecretKey::generate()).await?);
    let connector = IrohConnector::new(bind(presets::Minimal, SecretKey::generate()).await?);
    let connection = connector.dial(server.endpoint().addr()).await?;
    Ok((Channel::new(connection), server))
}

/// Runs an example that is a package of its own, since it needs a database, a Raft engine or gRPC: what one default member needs, cargo
/// builds into all. It is started with cargo if cargo has started this, else the program that lies beside is.
///
/// # Errors
/// It cannot be started.
pub fn run_package(package: &str, program: &str) -> Result<ExitCode, Box<dyn Error>> {
    let mut command = match env::var_os("CARGO") {
        Some(cargo) => {
            let mut command = Command::new(cargo);
            command.args(["run", "--package", package]);
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
            Command::new(folder.join(format!("{program}{}", env::consts::EXE_SUFFIX)))
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

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
