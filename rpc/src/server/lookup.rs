//! Finds the method that a call is for, and says what was not found. Names from peers are never said back at length.

use crate::{
    call::Method,
    codec::Codec,
    method::{MethodDescriptor, ServiceDescriptor},
    status::{Result, Status},
};

/// The method of `service` that a request is for.
///
/// # Errors
/// `UNIMPLEMENTED`; or, if a caller in this process has another version of the service and encoded the call as if it had ours,
/// that the codec is wrong.
pub(super) fn resolve(
    service: &'static ServiceDescriptor,
    method: &Method,
    codec: Codec,
) -> Result<&'static MethodDescriptor> {
    if let Method::Known(known) = method {
        let theirs = known.service();
        if std::ptr::eq(theirs, service) {
            return Ok(known);
        }
        if codec == Codec::Postcard && !same_schema(theirs, service) {
            return Err(Status::wrong_codec(known.path));
        }
    }
    let path = method.path();
    method_at(service, path).ok_or_else(|| {
        let name = path.rsplit('/').next().unwrap_or(path);
        no_such_method(service.name, name)
    })
}

pub(super) fn method_at(
    service: &'static ServiceDescriptor,
    path: &str,
) -> Option<&'static MethodDescriptor> {
    service.methods.iter().find(|method| method.path == path)
}

/// `demo.v1.Greeter` of `/demo.v1.Greeter/Greet`.
pub(super) fn service_of(path: &str) -> Option<&str> {
    let (service, _) = path.strip_prefix('/')?.split_once('/')?;
    Some(service)
}

/// Whether postcard is safe between the two.
pub(super) fn same_schema(a: &'static ServiceDescriptor, b: &'static ServiceDescriptor) -> bool {
    std::ptr::eq(a, b) || (a.name == b.name && a.fingerprint() == b.fingerprint())
}

pub(super) fn no_such_method(service: &str, method: &str) -> Status {
    Status::unimplemented(format!(
        "{} has no method {:?}; is the server older than the client?",
        shortened(service),
        shortened(method)
    ))
    .with_not_accepted()
}

pub(super) fn no_such_service(service: &str) -> Status {
    Status::unimplemented(format!(
        "no service {:?} is served here",
        shortened(service)
    ))
    .with_not_accepted()
}

pub(super) fn not_a_path(path: &str) -> Status {
    Status::unimplemented(format!(
        "{:?} is not a path such as \"/package.Service/Method\"",
        shortened(path)
    ))
    .with_not_accepted()
}

/// What a peer sent, no longer than a person reads.
fn shortened(name: &str) -> &str {
    let mut end = name.len().min(MAX_ECHO_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

/// How much of a name that a peer made up is said back to it.
const MAX_ECHO_BYTES: usize = 128;
