//! Rules that hold between the parts of a service: no name twice, none that generated code has taken. What can be judged of one
//! item alone is judged in `parse`.

use syn::ext::IdentExt;

use crate::{
    errors::Errors,
    model::{self, Method, Service},
};

/// Checks a service as a whole.
pub(crate) fn service(service: &Service, errors: &Errors) {
    for (index, method) in service.methods.iter().enumerate() {
        reserved(service, method, errors);
        // Methods under `#[cfg]` may be alternatives of each other.
        let others = &service.methods[..index];
        let Some(other) = others.iter().find(|other| other.name == method.name) else {
            continue;
        };
        if !method.cfgs.is_empty() && !other.cfgs.is_empty() {
            continue;
        }
        let at = match &method.settings.name {
            Some((_, key)) => key,
            None => &method.signature.ident,
        };
        errors.at(
            at,
            format_args!(
                "`{}` and `{}` would both be `{}` on the wire: give one another name, by `#[rpc(name = \"..\")]`",
                other.signature.ident, method.signature.ident, method.name
            ),
        );
    }
}

/// A method of the trait that one of the client's own would hide.
fn reserved(service: &Service, method: &Method, errors: &Errors) {
    let ident = &method.signature.ident;
    if ident.unraw() == "with" {
        errors.at(
            ident,
            format_args!(
                "`{}` has a method `with` of its own, for the options of calls: call this one otherwise, and set its name on the wire by `#[rpc(name = \"{}\")]`",
                service.client(),
                model::wire_name(ident)
            ),
        );
    }
}
