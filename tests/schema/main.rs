//! The `.proto` files that follow from services: those in `services/` are what was agreed, and tools of others take them.

#![allow(clippy::unwrap_used, reason = "tests say where they fail")]

mod agreed;
mod buf;
mod named;
mod stock;
