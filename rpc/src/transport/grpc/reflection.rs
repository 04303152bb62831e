//! Reflection: what a server tells of its services, by tonic's implementation, from the descriptors of the router.

use std::convert::Infallible;

use tonic::{body::Body as TonicBody, server::NamedService};
use tonic_reflection::server::Builder;

use crate::{
    method::{ServiceDescriptor, file_descriptor_set},
    proto::SchemaError,
    server::Router,
};

/// A service of tonic's.
pub(super) trait Reflection:
    tower_service::Service<
        http::Request<TonicBody>,
        Response = http::Response<TonicBody>,
        Error = Infallible,
        Future: Send,
    > + NamedService
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Reflection for S where
    S: tower_service::Service<
            http::Request<TonicBody>,
            Response = http::Response<TonicBody>,
            Error = Infallible,
            Future: Send,
        > + NamedService
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// Both versions of the service.
///
/// # Errors
/// Two types of a package have one name, or a descriptor set that a service names does not go with it.
pub(super) fn services(
    router: &Router,
) -> Result<(impl Reflection + use<>, impl Reflection + use<>), SchemaError> {
    let services: Vec<&ServiceDescriptor> = router.services().collect();
    let descriptors = file_descriptor_set(&services)?;
    let builder = || Builder::configure().register_file_descriptor_set(descriptors.clone());
    let refused = |error| SchemaError::refused(&error);
    Ok((
        builder().build_v1().map_err(refused)?,
        builder().build_v1alpha().map_err(refused)?,
    ))
}
