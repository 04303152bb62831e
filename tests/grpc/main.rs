//! gRPC as its documents have it, and bad input: what clients get that speak HTTP/2 by hand. The tables are in ARCHITECTURE.md.

#![allow(clippy::unwrap_used, reason = "tests say where they fail")]

mod accepted;
mod alive;
mod configured;
mod drain;
mod floods;
mod frames;
mod headers_late;
mod listeners;
mod malformed;
mod peers;
mod raw;
mod reflection;
mod right;
mod slow;
mod target;
mod theirs;
mod tls;
mod watch;
mod web;
