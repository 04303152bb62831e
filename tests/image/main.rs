//! `blixard.image.v1.ImageService` between real endpoints, and with processes that are killed.

#![allow(clippy::unwrap_used, reason = "tests say where they fail")]

mod killed;
mod machines;
mod node;
mod permitted;
mod refused;
mod room;
mod shared;
mod sources;
