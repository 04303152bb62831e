//! Protobuf from Rust types: fields, encoding, descriptors, `.proto` text.
//!
//! What a field of a message can be is [`Field`]; what a single, unrepeated one can be is [`Value`]. `#[message]` implements
//! `Value` for the types of a user. Everything that a field needs lies in these two traits: protobuf, serde and the schema.
//! How a whole message goes through a codec lies above, in [`message`](mod@crate::message).

mod budget;
mod decode;
mod descriptor;
mod docs;
mod encode;
mod error;
#[doc(hidden)]
pub mod field;
mod fields;
mod given;
mod print;
#[doc(hidden)]
pub mod prost_field;
mod scalar;
mod schema;
mod schema_error;
mod set;
mod time;
mod wellknown;

pub use budget::{
    Budget, MAX_DEPTH, MAX_NESTED_BYTES, MEMORY_FACTOR, MEMORY_FLOOR_BYTES, MIN_VALUE_BYTES,
};
pub use decode::Input;
pub use descriptor::{MethodInfo, ServiceInfo};
pub use encode::delimited;
pub(crate) use encode::refused;
pub use error::DecodeError;
pub use field::{Field, Key, Value};
pub use fields::{Fields, Numbered};
pub use print::print;
pub use prost::encoding::WireType;
pub use schema::{
    Describe, FieldInfo, FieldType, NumberInfo, Reserved, Schema, TypeBody, TypeInfo, ValueType,
    VariantInfo, VariantPayload,
};
pub use schema_error::SchemaError;
pub use set::{file, file_set, text, texts};
