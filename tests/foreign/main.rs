//! Clients and servers of other languages, with the gRPC that is usual there: they call us, and we call them.
//!
//! `bash .ci/tools` installs what they need. What each client has to check is listed here, so that none leaves anything out.

#![allow(clippy::unwrap_used, reason = "tests say where they fail")]

mod buf;
mod caller;
mod node;
mod program;
mod python;
mod service;
mod web;

/// What a client in any language has to check.
const CHECKS: &[&str] = &[
    "unary",
    "server_streaming",
    "client_streaming",
    "bidirectional",
    "metadata",
    "deadline",
    "cancellation",
    "status",
    "details",
    "limits",
    "compression",
    "many_at_once",
    "health",
];
