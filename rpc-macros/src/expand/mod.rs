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

use crate::model::{Method, Request, Service};

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
    let allow = allow_deprecated(service.deprecated);
    quote! {
        #item
        #(#requests)*
        #names
        #allow
        const _: () = {
            use ::blixard_rpc::codegen as __rpc;
            #descriptor
            #server
            #client
        };
    }
}

/// Generated code may use what the user says not to use.
fn allow_deprecated(deprecated: bool) -> Option<TokenStream> {
    deprecated.then(|| quote!(#[allow(deprecated)]))
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

/// The type of the request, as the handler takes it.
fn request_type(service: &Service, method: &Method) -> TokenStream {
    match &method.request {
        Request::Unit => quote!(()),
        Request::Message { ty, .. } => quote!(#ty),
        Request::Stream { ty, .. } => quote!(#ty),
        Request::Fields(_) => {
            let request = service.request(method);
            quote!(#request)
        }
    }
}

/// The function of the runtime that carries calls of a method's shape.
fn shape(method: &Method) -> proc_macro2::Ident {
    format_ident!("{}", method.shape())
}

#[cfg(test)]
mod tests;
