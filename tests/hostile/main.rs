//! Peers that break the protocol, on real iroh connections: what they get for it, and that nobody else notices. The table of it is in
//! ARCHITECTURE.md, "What becomes of what is malformed".

#![allow(clippy::unwrap_used, reason = "tests say where they fail")]

mod clients;
mod floods;
mod raw;
mod servers;
mod target;
