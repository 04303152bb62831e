//! grpc-js, with what proto-loader makes of the `.proto` that we print.

use std::{path::PathBuf, process::Command};

use blixard_tests::tools::find;

use super::{
    CHECKS, caller,
    program::{Program, Schema, Server},
};

/// Where the packages are.
fn packages() -> Option<PathBuf> {
    find("NODE_PACKAGES", "node")
}

fn program(packages: PathBuf, name: &str) -> Command {
    let mut command = Command::new("node");
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/foreign/node/").to_owned() + name)
        .env("NODE_PACKAGES", packages);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_in_node_calls_us() {
    let Some(packages) = packages() else { return };
    let (server, schema) = (Server::start().await, Schema::write("node-client"));
    let mut client = program(packages, "client.js");
    client.arg(server.address.to_string()).arg(schema.folder());
    Program::checks(client, CHECKS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn we_call_a_server_in_node() {
    let Some(packages) = packages() else { return };
    let schema = Schema::write("node-server");
    let (_server, address) = Program::serving(program(packages, "server.js").arg(schema.folder()));
    caller::calls(address, "Node").await;
}
