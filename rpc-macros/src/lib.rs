//! The macros of blixard-rpc: `#[iroh_service]` on a trait, `#[derive(RpcError)]` on an error enum.
//!
//! Tokens go through one pipeline: `parse` reads the syntax, `model` holds what cannot be wrong, `check` looks across items,
//! `expand` prints without asking. Every mistake is collected on the way; if there was one, `expand::fallback` prints the least
//! that keeps the rest of the program free of errors that only follow.
//!
//! Use them through `blixard_rpc`, which re-exports them and documents them with examples.

mod attr;
mod check;
mod errors;
mod expand;
mod message;
mod model;
mod name;
mod parse;
mod rpc_error;
#[cfg(test)]
mod snapshots;
mod span;

use proc_macro::TokenStream;

// Documented where it is re-exported, in blixard-rpc: only there can its examples be compiled.
#[allow(missing_docs)]
#[proc_macro_attribute]
pub fn iroh_service(settings: TokenStream, item: TokenStream) -> TokenStream {
    service(settings.into(), item.into()).into()
}

/// Makes a message of a plain struct or enum: what can be sent, in postcard and in protobuf.
///
/// It takes no arguments. Fields, and variants with data, take `#[tag(n)]`, their number in protobuf; one variant of an enum takes
/// `#[unknown]`, and stands for what only newer peers know; a field whose type prost generated takes `#[prost]`; an enum without data
/// takes `#[within(Message)]`, to be declared inside of that message; a type takes
/// `#[proto_name("Other")]`, to be called so in protobuf; and one from which something was removed takes
/// `#[reserved(3, 5..=7, "old_name")]`, so that nobody uses it again. The documentation of the module `message` of `blixard_rpc` says
/// what each type becomes.
///
/// It derives serde's `Serialize` and `Deserialize`, so that no dependency on serde is needed. Other attributes stay as they are.
#[proc_macro_attribute]
pub fn message(arguments: TokenStream, item: TokenStream) -> TokenStream {
    message::attribute(&arguments.into(), item.into()).into()
}

/// A part of `#[message]`, which is to be written instead.
#[proc_macro_derive(Message, attributes(tag, unknown, prost, within, reserved, proto_name))]
pub fn derive_message(item: TokenStream) -> TokenStream {
    let item = syn::parse_macro_input!(item as syn::DeriveInput);
    message::derive(&item).into()
}

// Documented where it is re-exported, in blixard-rpc: only there can its examples be compiled.
#[allow(missing_docs)]
#[proc_macro_derive(RpcError, attributes(rpc, tag, prost, reserved))]
pub fn derive_rpc_error(item: TokenStream) -> TokenStream {
    let item = syn::parse_macro_input!(item as syn::DeriveInput);
    rpc_error::derive(&item).into()
}

/// The pipeline of `#[iroh_service]`.
fn service(
    settings: proc_macro2::TokenStream,
    item: proc_macro2::TokenStream,
) -> proc_macro2::TokenStream {
    let errors = errors::Errors::default();
    let Some(input) = parse::input(item.clone(), &errors) else {
        return errors.with(item);
    };
    let service = parse::service(&input, settings, &errors);
    check::service(&service, &errors);
    if errors.is_empty() {
        expand::service(&service)
    } else {
        errors.with(expand::fallback(&input))
    }
}
