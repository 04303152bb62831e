//! Protobuf from Rust types: fields, encoding, descriptors, `.proto` text.
//!
//! What a field of a message can be is [`Field`]; what a single, unrepeated one can be is [`Value`]. `#[message]` implements
//! `Value` for the types of a user. Everything that a field needs lies in these two traits: protobuf, serde and the schema.
//! What a whole message is lies a floor above, in [`message`](crate::message).

mod budget;
mod decode;
mod descriptor;
mod encode;
mod error;
#[doc(hidden)]
pub mod field;
mod fields;
mod print;
#[doc(hidden)]
pub mod prost_field;
mod scalar;
mod schema;
mod time;
mod wellknown;

pub use budget::{Budget, MAX_DEPTH, MEMORY_FACTOR, MEMORY_FLOOR_BYTES};
pub use decode::Input;
pub use descriptor::{NameClash, file, file_set};
pub use encode::delimited;
pub use error::DecodeError;
use field::Wire;
pub use field::{Field, Key, Value};
pub use fields::{Fields, Numbered};
pub use print::{print, print_file};
pub use prost::encoding::WireType;
pub use schema::{
    FieldInfo, FieldType, NumberInfo, Schema, TypeBody, TypeInfo, ValueType, VariantInfo,
    VariantPayload,
};

/// Describes a message type to a schema; returns its full name there.
pub type Describe = fn(&mut Schema) -> String;
