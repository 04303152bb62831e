//! [`Request`]: a call on its way to a handler.

use std::{fmt, sync::Arc};

use tokio::time::Instant;

use super::{Body, Peer, Recall};
use crate::{
    codec::Codec,
    metadata::Metadata,
    method::{MethodDescriptor, Priority},
};

/// Which method a call is for.
#[derive(Clone)]
pub enum Method {
    /// A method that this process knows.
    Known(&'static MethodDescriptor),
    /// The path that a peer sent, such as `/demo.v1.Greeter/Greet`; not looked up yet, or unknown.
    Path(Arc<str>),
}

impl Method {
    /// The path: `/demo.v1.Greeter/Greet`.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Known(method) => method.path,
            Self::Path(path) => path,
        }
    }

    /// The descriptor, where the method is known.
    #[must_use]
    pub const fn descriptor(&self) -> Option<&'static MethodDescriptor> {
        match self {
            Self::Known(method) => Some(method),
            Self::Path(_) => None,
        }
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path())
    }
}

/// A call on its way to a handler.
#[derive(Debug)]
pub struct Request {
    /// Which method it is for.
    pub method: Method,
    /// How the messages are encoded, both ways.
    pub codec: Codec,
    /// The metadata that the caller sent.
    pub metadata: Metadata,
    /// When the caller gives up.
    pub deadline: Option<Instant>,
    /// How urgent it is.
    pub priority: Priority,
    /// Who calls; the transport's server half sets it.
    pub peer: Peer,
    /// The messages.
    pub body: Body,
    /// Who may want it back before it is sent.
    pub(crate) recall: Option<Arc<Recall>>,
}

impl Request {
    /// A request with the method's own defaults, no metadata and no deadline.
    #[must_use]
    pub const fn new(method: &'static MethodDescriptor, codec: Codec, body: Body) -> Self {
        Self {
            method: Method::Known(method),
            codec,
            metadata: Metadata::new(),
            deadline: None,
            priority: method.priority,
            peer: Peer::Memory,
            body,
            recall: None,
        }
    }

    /// The same call with these messages.
    pub(crate) fn with_body(&self, body: Body) -> Self {
        Self {
            method: self.method.clone(),
            codec: self.codec,
            metadata: self.metadata.clone(),
            deadline: self.deadline,
            priority: self.priority,
            peer: self.peer.clone(),
            body,
            recall: self.recall.clone(),
        }
    }

    /// Whether nothing will be answered.
    #[must_use]
    pub fn is_oneway(&self) -> bool {
        self.method.descriptor().is_some_and(|method| method.oneway)
    }
}
