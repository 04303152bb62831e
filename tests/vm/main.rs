//! `blixard.vm.v1.VmService` with real QEMU and a guest of a few hundred bytes.

#![allow(clippy::unwrap_used, reason = "tests say where they fail")]

mod adopted;
mod crashes;
mod full;
mod guest;
mod health;
mod killed;
mod life;
mod linux;
mod migrate;
mod migrated_and_killed;
mod node;
mod refused;
mod snapshots;
mod watched;
