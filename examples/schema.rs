//! The schemas of the services in `services/`: prints their `.proto` files, writes and checks those in `services/proto`, and writes the
//! descriptor set. `cargo run --example schema -- help` says how; for services of your own it is the same line.

use std::process::ExitCode;

fn main() -> ExitCode {
    blixard_rpc_schema::main(&blixard_services::descriptors())
}
