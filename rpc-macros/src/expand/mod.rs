//! From the model to tokens. What is generated calls the runtime by absolute paths through `::blixard_rpc::codegen` alone, and names
//! nothing that a type in the user's scope could be mistaken for.
//!
//! Public are the trait, the requests, the client, the server and the marker; the rest is in a `const _` where `__rpc` is the runtime.

mod client;
mod common;
mod descriptor;
mod fallback;
mod server;
mod service;

use proc_macro2::TokenStream;
use quote::quote;

pub(crate) use fallback::fallback;

use crate::model::Service;

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
    let deprecated = service.has_deprecated().then(|| quote!(, deprecated));
    quote! {
        #item
        #(#requests)*
        #names
        #[allow(dead_code, non_snake_case #deprecated)]
        const _: () = {
            use ::blixard_rpc::codegen as __rpc;
            #descriptor
            #server
            #client
        };
    }
}
