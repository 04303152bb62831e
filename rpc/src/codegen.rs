//! The only door for generated code. Not part of the public interface: what is here changes with the macros, in one release.

pub use std::{
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
    message::Message,
    method::{Fingerprint, MethodDescriptor, Priority, ServiceDescriptor, Shape},
    proto,
    server::{Call, Server, Service},
    status::{Result, Status},
};
