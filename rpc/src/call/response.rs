//! [`Response`]: a call on its way back.

use super::Body;
use crate::metadata::Metadata;

/// A call on its way back: initial metadata and the messages; trailing metadata comes with the end of the body.
#[derive(Debug)]
pub struct Response {
    /// The initial metadata.
    pub metadata: Metadata,
    /// The messages.
    pub body: Body,
}

impl Response {
    /// A response without metadata.
    #[must_use]
    pub const fn new(body: Body) -> Self {
        Self {
            metadata: Metadata::new(),
            body,
        }
    }
}
