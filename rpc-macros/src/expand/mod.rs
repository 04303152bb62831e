//! From the model to tokens. What is generated calls the runtime by absolute paths through `::blixard_rpc::codegen` alone, and names
//! nothing that a type in the user's scope could be mistaken for.
//!
//! Public are the trait, the requests, the client, the server and the marker; the rest is in a `const _` where `__rpc` is the runtime.

mod client;
mod descriptor;
mod fallback;
mod server;
mod service;

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

pub(crate) use fallback::fallback;

use crate::model::{Method, Service};

/// The whole expansion of `#[iroh_service]`.
pub(crate) fn service(service: &Service) -> TokenStream {
    let item = service::item(service);
    let requests = service::requests(service);
    let names = service::names(
        &service.vis,
        &service.ident,
        &service.full_name,
        &service.attrs,
    );
    let descriptor = descriptor::descriptor(service);
    let server = server::server(service);
    let client = client::client(service);
    // Generated code may use what the user says not to use, and need not use all of itself.
    let deprecated = service.deprecated.then(|| quote!(, deprecated));
    quote! {
        #item
        #(#requests)*
        #names
        #[allow(dead_code #deprecated)]
        const _: () = {
            use ::blixard_rpc::codegen as __rpc;
            #descriptor
            #server
            #client
        };
    }
}

/// The place of a method among those that are compiled in: a sum where `#[cfg]` is on one before it.
fn index(service: &Service, place: usize) -> TokenStream {
    let before = &service.methods[..place];
    let fixed = before
        .iter()
        .filter(|method| method.cfgs.is_empty())
        .count();
    let fixed = proc_macro2::Literal::usize_unsuffixed(fixed);
    let conditional = before
        .iter()
        .filter(|method| !method.cfgs.is_empty())
        .map(|method| {
            let conditions = method
                .cfgs
                .iter()
                .filter_map(|cfg| cfg.meta.require_list().ok())
                .map(|list| &list.tokens);
            quote!(::core::cfg!(all(#(#conditions),*)) as usize)
        });
    quote!(#fixed #(+ #conditional)*)
}

/// The signature of a method with its future spelled out, where `__rpc` is the runtime.
fn spelled_out(signature: &syn::Signature) -> TokenStream {
    service::spelled_out(signature, &quote!(__rpc::Future), &quote!(__rpc::Send))
}

/// The function of the runtime that carries calls of a method's shape.
fn shape(method: &Method) -> proc_macro2::Ident {
    format_ident!("{}", method.shape())
}

#[cfg(test)]
mod tests;
