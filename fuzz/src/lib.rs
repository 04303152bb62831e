//! What holds for whatever a peer sends, and where a fuzzer begins to look. Nothing here knows of a fuzzer.

pub mod checks;
pub mod grpc;
mod grpc_seeds;
pub mod seeds;
pub mod types;
