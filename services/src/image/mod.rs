//! `blixard.image.v1.ImageService`: the disk images of a node, which nodes give to each other, known by the BLAKE3 hash of their content.
//!
//! The trait ([`Images`]) and its messages are always here: whoever calls needs no more. With the feature `image-host` a node keeps
//! images: `ImageHost` shares files where they are, fetches from many at once, and keeps what it fetched in a cache with a limit.
//!
//! ```no_run
//! # #[cfg(feature = "image-host")]
//! # async fn run(endpoint: iroh::Endpoint) -> blixard_rpc::Result<()> {
//! use blixard_rpc::{Router, transport::iroh::{ALPN, IrohServer}};
//! use blixard_services::image::{self, ImageConfig, ImageHost};
//!
//! // Whoever is in this cluster may fetch; see `ImageConfig::access` for roles from a file.
//! let config = ImageConfig::new("/var/lib/blixard").readers(|key| key == &[7; 32]);
//! let images = ImageHost::open(config, endpoint.clone()).await?;
//! let node = iroh::protocol::Router::builder(endpoint)
//!     .accept(ALPN, IrohServer::new(Router::new().add(images.server()))) // calls
//!     .accept(image::ALPN, images.protocol()) // contents
//!     .spawn();
//! # drop(node);
//! # Ok(())
//! # }
//! ```
//!
//! What is acknowledged is on disk. `docs/IMAGES.md` says how to run it, and what it costs.

mod api;
#[cfg(feature = "image-host")]
mod cache;
#[cfg(feature = "image-host")]
mod config;
#[cfg(feature = "image-host")]
mod fetch;
#[cfg(feature = "image-host")]
mod gate;
#[cfg(feature = "image-host")]
mod holders;
#[cfg(feature = "image-host")]
mod host;
mod messages;
#[cfg(feature = "image-host")]
mod plan;
#[cfg(feature = "image-host")]
mod shelf;
#[cfg(feature = "image-host")]
mod stamp;
#[cfg(feature = "image-host")]
mod store;
#[cfg(feature = "image-host")]
mod valid;

pub use api::{Images, ImagesClient, ImagesServer, ImagesService};
#[cfg(feature = "image-host")]
pub use config::ImageConfig;
#[cfg(feature = "image-host")]
pub use fetch::{MAX_SOURCES, PATIENCE};
#[cfg(feature = "image-host")]
pub use gate::MAX_REQUESTS;
#[cfg(feature = "image-host")]
pub use holders::{HOLDERS_KEPT_FOR, MAX_HOLDERS};
#[cfg(feature = "image-host")]
pub use host::{ImageHost, MAX_IMAGES};
#[cfg(feature = "image-host")]
pub use iroh_blobs::ALPN;
pub use messages::{
    DescribeResponse, Done, GetEvent, GetResponse, Image, ImageFormat, ImageState, ListResponse,
    LocateResponse, Progress, Provider, RemoveResponse, ShareEvent, ShareResponse, Source,
    SourceState,
};
#[cfg(feature = "image-host")]
pub use plan::MAX_IMAGE_BYTES;
#[cfg(feature = "image-host")]
pub use shelf::STAYS_FOR;
#[cfg(feature = "image-host")]
pub use valid::{MAX_ADDRESSES, MAX_NAME_BYTES, MAX_PROVIDERS, MAX_READERS, MAX_RELAY_BYTES};
