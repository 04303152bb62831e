//! The stacks, one file each. Each does what its own documentation shows.

mod iroh_inline;
mod iroh_streams;
mod iroh_tasks;
mod irpc;
mod others;
mod ours;
mod ours_grpc;
mod ours_iroh;
mod ours_memory;
mod tarpc;
mod tls;
mod tonic;

pub(crate) use iroh_inline::IrohInline;
pub(crate) use iroh_streams::IrohStreams;
pub(crate) use iroh_tasks::IrohTasks;
pub(crate) use irpc::Irpc;
pub(crate) use ours_grpc::OursGrpc;
pub(crate) use ours_iroh::OursIroh;
pub(crate) use ours_memory::OursMemory;
pub(crate) use tarpc::Tarpc;
pub(crate) use tls::Tls;
pub(crate) use tonic::Tonic;
