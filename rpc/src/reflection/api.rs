//! The traits that both versions of `grpc.reflection` are declared with. What they mean is in `answers`.

use super::messages::{ServerReflectionRequest, ServerReflectionResponse};
use crate::{call::Streaming, iroh_service, status::Result};

/// `v1`.
#[iroh_service(
    package = "grpc.reflection.v1",
    name = "ServerReflection",
    file_descriptor_set = include_bytes!("v1.bin")
)]
pub(super) trait V1 {
    /// Answers each question in its turn.
    #[rpc(idempotent)]
    async fn server_reflection_info(
        &self,
        questions: Streaming<ServerReflectionRequest>,
    ) -> Result<Streaming<ServerReflectionResponse>>;
}

/// `v1alpha`, which many tools still ask first.
#[iroh_service(
    package = "grpc.reflection.v1alpha",
    name = "ServerReflection",
    file_descriptor_set = include_bytes!("v1alpha.bin")
)]
pub(super) trait V1Alpha {
    /// Answers each question in its turn.
    #[rpc(idempotent)]
    async fn server_reflection_info(
        &self,
        questions: Streaming<ServerReflectionRequest>,
    ) -> Result<Streaming<ServerReflectionResponse>>;
}
