//! The only door for generated code. Not part of the public interface: what is here changes with the macros, in one release.

pub use std::{
    clone::Clone,
    convert::Into,
    future::Future,
    marker::Send,
    option::Option,
    result::Result as StdResult,
    string::String,
    sync::{Arc, OnceLock},
    time::Duration,
};

pub use bytes::{Bytes, BytesMut};
pub use prost;
pub use serde;

pub use crate::{
    call::{Codec, Context, Request, Response, Streaming},
    client::{CallOptions, Client},
    describe::{
        bidirectional, client_streaming, methods, oneway, server_streaming, service, unary,
    },
    dispatch::{Channel, Dispatch},
    message::{Message, decode, encode},
    method::{Fingerprint, MethodDescriptor, Priority, ServiceDescriptor, Shape},
    proto::{
        self, DecodeError, Field, FieldInfo, Fields, Input, NumberInfo, Numbered, Schema, TypeBody,
        TypeInfo, Value, ValueType, VariantInfo, VariantPayload, WireType, delimited,
        field::{self, put_nested, put_value},
        prost_field,
    },
    server::{Call, Server, Service},
    status::{Result, Status},
};
