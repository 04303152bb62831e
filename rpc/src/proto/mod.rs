//! Protobuf from Rust types: fields, encoding, descriptors, `.proto` text.

/// Describes a message type to a schema; returns its name there. Filled in by the message floor.
pub type Describe = fn(&mut Schema) -> String;

/// The types that a service's messages are made of.
#[derive(Debug, Default)]
pub struct Schema {}
