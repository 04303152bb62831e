//! Which protocol this is.

/// The version of the protocol, the first byte of every frame.
pub const VERSION: u8 = 1;
