//! The messages of `grpc.reflection`, as prost would generate them from `rpc/proto`: a `oneof` beside other fields is none of a
//! `#[message]`. Both versions of the service have the same.

use bytes::Bytes;
use prost::{Message, Oneof};

/// One question.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct ServerReflectionRequest {
    #[prost(string, tag = "1")]
    pub(super) host: String,
    #[prost(oneof = "MessageRequest", tags = "3, 4, 5, 6, 7")]
    pub(super) message_request: Option<MessageRequest>,
}

/// What is asked.
#[derive(Clone, PartialEq, Eq, Oneof)]
pub(super) enum MessageRequest {
    #[prost(string, tag = "3")]
    FileByFilename(String),
    #[prost(string, tag = "4")]
    FileContainingSymbol(String),
    #[prost(message, tag = "5")]
    FileContainingExtension(ExtensionRequest),
    #[prost(string, tag = "6")]
    AllExtensionNumbersOfType(String),
    #[prost(string, tag = "7")]
    ListServices(String),
}

/// An extension of a message.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct ExtensionRequest {
    #[prost(string, tag = "1")]
    pub(super) containing_type: String,
    #[prost(int32, tag = "2")]
    pub(super) extension_number: i32,
}

/// One answer.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct ServerReflectionResponse {
    #[prost(string, tag = "1")]
    pub(super) valid_host: String,
    #[prost(message, optional, tag = "2")]
    pub(super) original_request: Option<ServerReflectionRequest>,
    #[prost(oneof = "MessageResponse", tags = "4, 5, 6, 7")]
    pub(super) message_response: Option<MessageResponse>,
}

/// What is answered.
#[derive(Clone, PartialEq, Eq, Oneof)]
pub(super) enum MessageResponse {
    #[prost(message, tag = "4")]
    Files(FileDescriptorResponse),
    #[prost(message, tag = "5")]
    Extensions(ExtensionNumberResponse),
    #[prost(message, tag = "6")]
    Services(ListServiceResponse),
    #[prost(message, tag = "7")]
    Error(ErrorResponse),
}

/// Files, encoded.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct FileDescriptorResponse {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub(super) file_descriptor_proto: Vec<Bytes>,
}

/// The extensions of a message.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct ExtensionNumberResponse {
    #[prost(string, tag = "1")]
    pub(super) base_type_name: String,
    #[prost(int32, repeated, tag = "2")]
    pub(super) extension_number: Vec<i32>,
}

/// All services.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct ListServiceResponse {
    #[prost(message, repeated, tag = "1")]
    pub(super) service: Vec<ServiceResponse>,
}

/// A service.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct ServiceResponse {
    #[prost(string, tag = "1")]
    pub(super) name: String,
}

/// Why a question is not answered.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct ErrorResponse {
    #[prost(int32, tag = "1")]
    pub(super) error_code: i32,
    #[prost(string, tag = "2")]
    pub(super) error_message: String,
}
