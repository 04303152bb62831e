//! grpcio, and what belongs to it.

use std::{path::PathBuf, process::Command};

use blixard_tests::tools::find;

use super::{
    CHECKS, caller,
    program::{Program, Schema, Server},
};

fn python() -> Option<PathBuf> {
    find("PYTHON_WITH_GRPC", "python/bin/python")
}

fn program(python: PathBuf, name: &str) -> Command {
    let mut command = Command::new(python);
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/foreign/python/").to_owned() + name)
        // No files beside the sources.
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_in_python_calls_us() {
    let Some(python) = python() else { return };
    let (server, schema) = (Server::start().await, Schema::write("python-client"));
    let mut client = program(python, "client.py");
    client.arg(server.address.to_string()).arg(schema.set());
    Program::checks(client, &[CHECKS, &["reflection"]].concat()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn we_call_a_server_in_python() {
    let Some(python) = python() else { return };
    let schema = Schema::write("python-server");
    let (_server, address) = Program::serving(program(python, "server.py").arg(schema.set()));
    caller::calls(address, "Python").await;
}
