//! Authorization: who may call which method, by roles of the peers' keys, for every transport and calls of all shapes.
//!
//! A file says who has which [`Role`] ([`Peers`]); a [`Policy`] says in one place which role a method needs; [`Access`] is the layer
//! that checks each call by both. Whatever neither of them names is closed: a peer who is not in the file may call nothing, and a
//! method that is not in the policy is for admins.
//!
//! ```
//! use blixard_rpc::Router;
//! use blixard_services::{auth::{Access, Peers, Policy, Role}, health::Reporter};
//!
//! # fn run() -> Result<(), Box<dyn std::error::Error>> {
//! # let path = std::env::temp_dir().join("blixard-auth-doc.toml");
//! # std::fs::write(&path, format!("[peers.ada]\nkey = '{}'\nroles = ['admin']", "07".repeat(32)))?;
//! let policy = Policy::new().needs("/demo.v1.Greeter/Greet", Role::Viewer); // beside those of this crate's services
//! let access = Access::new(Peers::load(&path)?, policy);
//!
//! let reporter = Reporter::new();
//! let router = Router::new().add(reporter.server()).layer(access.clone()); // over iroh, gRPC or both
//!
//! access.replace(Peers::load(&path)?); // later, when the file has changed: on SIGHUP, say
//! # drop(router);
//! # Ok(())
//! # }
//! # run().unwrap();
//! ```
//!
//! A peer is who has proved to hold a key: the one of its endpoint on iroh, or the Ed25519 key of its certificate over gRPC with mutual
//! TLS; a node that has one key for both is one peer on both. Calls within the process have no key, and do not pass: for them keep the
//! router as it is without the layer.

mod access;
mod denials;
mod error;
mod peers;
mod policy;
mod role;

pub use access::{Access, Guarded};
pub use error::PeersError;
pub use peers::{Peers, Roles};
pub use policy::{Needed, Policy};
pub use role::Role;
