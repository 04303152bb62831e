//! What is known of a service and its methods before any call: names, shapes, defaults. All of it is `static`.

use std::{any::Any, fmt, sync::OnceLock, time::Duration};

use prost_types::{FileDescriptorProto, FileDescriptorSet};

use crate::proto::{self, Describe, MethodInfo, SchemaError, ServiceInfo};

/// The largest message, each way, on every transport: 10 MiB. One byte more is `RESOURCE_EXHAUSTED`.
pub const MAX_MESSAGE_BYTES: usize = 10 * 1024 * 1024;

/// How many messages go each way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// One request, one response.
    Unary,
    /// One request, many responses.
    ServerStreaming,
    /// Many requests, one response.
    ClientStreaming,
    /// Many requests and many responses, independently.
    Bidirectional,
}

impl Shape {
    /// Whether the client sends a stream of messages.
    #[must_use]
    pub const fn client_streams(self) -> bool {
        matches!(self, Self::ClientStreaming | Self::Bidirectional)
    }

    /// Whether the server sends a stream of messages.
    #[must_use]
    pub const fn server_streams(self) -> bool {
        matches!(self, Self::ServerStreaming | Self::Bidirectional)
    }
}

/// Which calls go first when a connection is busy. On iroh each has streams of its own, strictly ordered packet by packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Priority {
    /// Bulk data that may wait for everything else.
    Bulk = 0,
    /// The default.
    #[default]
    Normal = 1,
    /// Before normal calls.
    High = 2,
    /// Before everything: what keeps a cluster alive. A few such calls find a place even where those that a server takes at once are all
    /// taken by others.
    Critical = 3,
}

impl Priority {
    /// All priorities, lowest first.
    pub const ALL: [Self; 4] = [Self::Bulk, Self::Normal, Self::High, Self::Critical];

    /// The priority with this number, 0 to 3.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The number on the wire, 0 to 3, higher first.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// A service as its trait declares it.
///
/// Made by `#[iroh_service]`, once a service, as a `static`.
pub struct ServiceDescriptor {
    /// The full name, with the package: `demo.v1.Greeter`.
    pub name: &'static str,
    /// The doc comment of the trait, lines joined by `\n`.
    pub docs: &'static str,
    /// The methods, in the order of their declaration; each one's [`index`](MethodDescriptor::index) is its place here.
    pub methods: &'static [MethodDescriptor],
    /// Whether the trait is `#[deprecated]`.
    pub deprecated: bool,
    /// The encoded descriptor set of the existing `.proto` that the service, or what prost generated for it, comes from.
    pub file_descriptor_set: Option<&'static [u8]>,
    /// Fills the cache below; called once.
    #[doc(hidden)]
    pub compute_fingerprint: fn(&'static Self) -> Fingerprint,
    #[doc(hidden)]
    pub fingerprint: OnceLock<Fingerprint>,
}

impl ServiceDescriptor {
    /// The method with this name, such as `Greet`.
    #[must_use]
    pub fn method(&self, name: &str) -> Option<&MethodDescriptor> {
        self.methods.iter().find(|method| method.name() == name)
    }

    /// The fingerprint of the schema: equal on both sides exactly when postcard is safe between them.
    pub fn fingerprint(&'static self) -> Fingerprint {
        *self
            .fingerprint
            .get_or_init(|| (self.compute_fingerprint)(self))
    }

    /// The service and all messages that it is made of, as protobuf describes a file: what reflection serves.
    ///
    /// # Errors
    /// Two types have one name, or [`file_descriptor_set`](Self::file_descriptor_set) does not go with the service.
    pub fn file_descriptor(&self) -> Result<FileDescriptorProto, SchemaError> {
        proto::file(&self.info())
    }

    /// The `.proto` of the service: what other languages generate their side from, formatted as `buf format` does it.
    ///
    /// Keep it beside the code, and compare the two in a test: a change of the schema then shows in a review. The package
    /// `blixard-rpc-schema` does that, and says which changes break whom.
    ///
    /// # Errors
    /// As those of [`file_descriptor`](Self::file_descriptor); or an existing `.proto` declares the service, and so is the text.
    pub fn proto(&self) -> Result<String, SchemaError> {
        proto::text(&self.info())
    }

    fn info(&self) -> ServiceInfo {
        ServiceInfo {
            name: self.name,
            docs: self.docs,
            deprecated: self.deprecated,
            file_descriptor_set: self.file_descriptor_set,
            methods: self
                .methods
                .iter()
                .map(|method| MethodInfo {
                    name: method.name(),
                    docs: method.docs,
                    request: method.request,
                    argument: method.argument,
                    detail: method.error.map(|error| (error.package, error.describe)),
                    response: method.response,
                    client_streaming: method.shape.client_streams(),
                    server_streaming: method.shape.server_streams(),
                    idempotent: method.idempotent,
                    deprecated: method.deprecated,
                })
                .collect(),
        }
    }
}

/// Services and all messages that they are made of, with protobuf's own types that they import: complete, as reflection needs it.
///
/// # Errors
/// Two types of a package have one name, or what one service was declared beside does not go with it or with another.
pub fn file_descriptor_set(
    services: &[&ServiceDescriptor],
) -> Result<FileDescriptorSet, SchemaError> {
    let infos: Vec<_> = services.iter().map(|service| service.info()).collect();
    proto::file_set(&infos)
}

/// The `.proto` files of services, by their names, such as `demo/v1/demo.proto`: one for each package, since services may share
/// messages. Services that an existing `.proto` declares are left out.
///
/// # Errors
/// As those of [`file_descriptor_set`]; or prost generated a type from a `.proto` that is not known.
pub fn proto_files(services: &[&ServiceDescriptor]) -> Result<Vec<(String, String)>, SchemaError> {
    let infos: Vec<_> = services.iter().map(|service| service.info()).collect();
    proto::texts(&infos)
}

impl fmt::Debug for ServiceDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceDescriptor")
            .field("name", &self.name)
            .field("methods", &self.methods)
            .finish_non_exhaustive()
    }
}

/// How messages of some type are encoded, without the type.
#[doc(hidden)]
pub type AnyCoding = dyn Any + Send + Sync;

/// A method as the trait declares it.
pub struct MethodDescriptor {
    /// The path that names it on every transport: `/demo.v1.Greeter/Greet`.
    pub path: &'static str,
    /// Its place among the service's methods.
    pub index: usize,
    /// How many messages go each way.
    pub shape: Shape,
    /// Whether a call may be sent twice without harm, as `#[rpc(idempotent)]` says.
    pub idempotent: bool,
    /// Whether nothing is answered, as `#[rpc(oneway)]` says.
    pub oneway: bool,
    /// The deadline of calls that say none.
    pub deadline: Option<Duration>,
    /// The priority of calls that say none.
    pub priority: Priority,
    /// The largest message each way, in bytes, when it is less than the transport's.
    pub max_message_bytes: Option<usize>,
    /// The doc comment, lines joined by `\n`.
    pub docs: &'static str,
    /// Whether the method is `#[deprecated]`.
    pub deprecated: bool,
    /// What the single argument is called in protobuf, if it is a scalar, and its doc comment.
    pub argument: Option<(&'static str, &'static str)>,
    /// The detail of the statuses that its own error makes, if it has one.
    pub error: Option<ErrorDetail>,
    /// The service; a function, since a `static` cannot name the one that holds it.
    #[doc(hidden)]
    pub service: fn() -> &'static ServiceDescriptor,
    /// How requests are encoded: the `Coding` of their type.
    #[doc(hidden)]
    pub request_coding: &'static AnyCoding,
    /// How responses are encoded: the `Coding` of their type.
    #[doc(hidden)]
    pub response_coding: &'static AnyCoding,
    /// Describes the request message to a schema.
    #[doc(hidden)]
    pub request: Describe,
    /// Describes the response message to a schema.
    #[doc(hidden)]
    pub response: Describe,
}

/// The detail of a status that an error of one's own makes: a message, which `#[derive(RpcError)]` declares.
#[derive(Clone, Copy, Debug)]
pub struct ErrorDetail {
    /// The protobuf package that it belongs to.
    pub package: &'static str,
    /// Describes it to a schema.
    #[doc(hidden)]
    pub describe: Describe,
}

impl MethodDescriptor {
    /// The service that the method belongs to.
    #[must_use]
    pub fn service(&self) -> &'static ServiceDescriptor {
        (self.service)()
    }

    /// The largest message each way, in bytes.
    #[must_use]
    pub fn message_limit_bytes(&self) -> usize {
        self.max_message_bytes
            .map_or(MAX_MESSAGE_BYTES, |limit| limit.min(MAX_MESSAGE_BYTES))
    }

    /// The method's own name: `Greet`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.path.rsplit('/').next().unwrap_or(self.path)
    }
}

impl fmt::Debug for MethodDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MethodDescriptor")
            .field("path", &self.path)
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

/// 128 bits that stand for the whole schema of a service: method paths and shapes, and, recursively, the tags, Rust types
/// and declaration order of every message. A UUID of version 5.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 16]);

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", uuid::Uuid::from_bytes(self.0))
    }
}
