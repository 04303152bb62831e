//! The [`Message`] trait: what can be an argument or a result of a call.
//!
//! It has two sources. [`#[message]`](macro@crate::message) makes a message of a plain struct or enum. And whatever prost generated
//! is one already, with prost's own scalars: `String`, `Bytes`, `Vec<u8>`, `bool`, numbers, `()`. Where a method takes or answers one of
//! these, its schema has a message of the method's own with that one field, called as the argument is, or `value`; the bytes are those of
//! the wrapper that protobuf has for it. So an argument can be added later. Between nodes with one schema, `Bytes` and `Vec<u8>` are the
//! message and nothing else, and large ones are not copied.
//!
//! ```
//! use std::{collections::HashMap, time::Duration};
//!
//! use blixard_rpc::message;
//!
//! /// Doc comments reach the `.proto`.
//! #[message]
//! #[derive(Clone, Debug, PartialEq)]
//! pub struct Machine {
//!     pub name: String,                     // string name = 1;
//!     pub memory_bytes: u64,                // uint64 memory_bytes = 2;
//!     #[tag(10)]
//!     pub key: [u8; 32],                    // bytes key = 10;
//!     pub state: State,                     // State state = 11;
//!     pub timeout: Option<Duration>,        // google.protobuf.Duration timeout = 12;
//!     pub disks: Vec<Disk>,                 // repeated Disk disks = 13;
//!     pub labels: HashMap<String, String>,  // map<string, string> labels = 14;
//!     pub parent: Option<Box<Machine>>,     // Machine parent = 15;
//! }
//!
//! /// An enum without data is a protobuf enum, which is open: one variant keeps the numbers that only newer peers know.
//! #[message]
//! #[derive(Clone, Copy, Debug, PartialEq)]
//! pub enum State {
//!     Stopped,
//!     Running = 5,
//!     #[unknown]
//!     Other(i32),
//! }
//!
//! /// An enum with data is a message with one `oneof`. What only a newer peer knows is an error, unless a variant stands for it.
//! #[message]
//! #[derive(Clone, Debug, PartialEq)]
//! pub enum Disk {
//!     Image(String),
//!     Empty { size_bytes: u64 },
//!     Cdrom,
//!     #[unknown]
//!     Unknown,
//! }
//! ```
//!
//! # Fields
//! A field has the tag that `#[tag(n)]` gives it, or one more than the field before; the first has 1. Its Rust type decides:
//!
//! | Rust | protobuf |
//! |---|---|
//! | `bool`, `i32`, `i64`, `u32`, `u64`, `f32`, `f64` | `bool`, `int32`, `int64`, `uint32`, `uint64`, `float`, `double` |
//! | `i8`, `i16`, `u8`, `u16` | `int32`, `uint32`; what does not fit is an error |
//! | `String` | `string` |
//! | `Vec<u8>`, `Bytes`, `[u8; N]` | `bytes`; `Bytes` are not copied out of a protobuf message; another length than `N` is an error |
//! | `Duration`, `SystemTime` | `google.protobuf.Duration`, `google.protobuf.Timestamp`; more than 10,000 years, or a time outside the years 1 to 9999, is an error, so send `Option<Duration>` and not `Duration::MAX` |
//! | `()` | `google.protobuf.Empty` |
//! | `Option<T>`, `Vec<T>` | `optional`, `repeated` |
//! | `HashMap<K, V>`, `BTreeMap<K, V>` | `map` |
//! | a `#[message]` type | that message or enum |
//! | `#[prost]` before a type that prost generated | that message; under postcard its protobuf bytes |
//! | `Box<T>` | `T` |
//!
//! An enum without data belongs to the package, and the names of its values begin with its own, `STATE_RUNNING`. With
//! `#[within(Machine)]` it is declared inside of that message, as some published `.proto` files have it: `Machine.State`, and its
//! values `RUNNING`. `#[proto_name("Other")]` gives a type another name in protobuf than in Rust.
//!
//! Option, Vec and maps are not put into one another: protobuf has no such fields. Names that are the same in protobuf's JSON form,
//! `foo_bar` and `fooBar`, are not in one message: protoc refuses that.
//!
//! What is the default is not sent, as proto3 has it, and the bytes are those of code that prost generates from the
//! [`.proto`](crate::method::ServiceDescriptor::proto) of the service. A message that a field holds without `Option` is always sent;
//! where it was not, it is one without any field.
//!
//! # Limits
//! A message decodes within a [`Budget`](proto::Budget): [`MAX_DEPTH`](proto::MAX_DEPTH) levels, and
//! [`MEMORY_FACTOR`](proto::MEMORY_FACTOR) times its length in memory. What would take more is `RESOURCE_EXHAUSTED`. For types that
//! prost generated only the depth and the length of the message are limited.
//!
//! # Compatibility
//! Under protobuf two versions understand each other as protobuf has it: do not change or reuse a tag, add fields as you like. Where
//! a field or a variant was removed, `#[reserved(3, 5..=7, "old_name")]` before the type keeps others from using its number and name
//! again; `#[deprecated]` reaches the `.proto`. The package `blixard-rpc-schema` compares a service with the `.proto` that is checked in,
//! and says who breaks. Postcard is used only between peers whose [`fingerprint`]s are equal. serde attributes are refused, since they would change one
//! codec and not the other.

mod codec;
mod fingerprint;
mod postcard;
mod wellknown;

pub use codec::Message;
#[doc(hidden)]
pub use codec::{decode, encode};
pub use fingerprint::fingerprint;

#[cfg(doc)]
use crate::proto;
