//! Stock gRPC on the other side: clients and servers that tonic generates from the `.proto` that we print, in every shape of calls and
//! both directions.

#![allow(clippy::unwrap_used, reason = "tests say where they fail")]

mod balanced;
mod bytes_codec;
mod health;
mod host;
mod schema;
mod service;
mod stock;
mod stock_client;
mod stock_server;
mod there_before;
