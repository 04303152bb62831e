//! How a sender says who it is where nothing is proved: in tests alone, with `insecure = true` on both sides.

/// The metadata key with the sender's id.
pub(crate) const SENDER: &str = "blixard-raft-insecure-sender";
