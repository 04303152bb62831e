//! Prints the trait, the requests that are generated from arguments, and the three names beside it: client, server, marker.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Attribute, Ident, Visibility, ext::IdentExt};

use super::common;
use crate::model::{self, Field, Method, Request, Service};

/// The trait: as written, but for `async fn`.
pub(super) fn item(service: &Service) -> TokenStream {
    let Service {
        attrs, vis, ident, ..
    } = service;
    let methods = service.methods.iter().map(|method| {
        let Method {
            attrs,
            signature,
            body,
            ..
        } = method;
        let function = common::function(signature, body.as_ref());
        quote!(#(#attrs)* #function)
    });
    quote! {
        #(#attrs)*
        #vis trait #ident: ::core::marker::Send + ::core::marker::Sync + 'static {
            #(#methods)*
        }
    }
}

/// The messages that are generated for several or tagged arguments.
pub(super) fn requests(service: &Service) -> impl Iterator<Item = TokenStream> {
    service.methods.iter().filter_map(|method| {
        let Request::Fields(fields) = &method.request else {
            return None;
        };
        let Service { vis, ident, .. } = service;
        let cfgs = &method.cfgs;
        let name = service.request(method);
        // The link leads rustdoc to the method, and is left out of the `.proto`.
        let docs = format!(
            "The request of [`{}`]({}::{}).",
            method.name,
            ident.unraw(),
            method.signature.ident.unraw()
        );
        // In protobuf it is called after the service, in Rust after the trait, beside which it stands.
        let in_protobuf = format!("{}{}Request", service.wire_name(), method.name);
        let proto_name = (name.unraw() != in_protobuf).then(|| quote!(#[proto_name(#in_protobuf)]));
        let fields = fields.iter().map(
            |Field {
                 name, ty, attrs, ..
             }| quote!(#(#attrs)* #vis #name: #ty),
        );
        Some(quote! {
            #(#cfgs)*
            #[doc = #docs]
            #[allow(missing_docs, missing_debug_implementations, non_snake_case, private_interfaces)]
            #[::blixard_rpc::message]
            #proto_name
            #vis struct #name { #(#fields,)* }
        })
    })
}

/// The client, the server and the marker.
pub(super) fn names(
    vis: &Visibility,
    service: &Ident,
    full_name: &str,
    attrs: &[Attribute],
) -> TokenStream {
    let client = model::client(service);
    let server = model::server(service);
    let marker = model::marker(service);
    let deprecated = attrs
        .iter()
        .filter(|attr| attr.path().is_ident("deprecated"))
        .collect::<Vec<_>>();
    let plain = service.unraw();
    let client_docs = format!(
        "Calls a [`{plain}`] through a channel; implements the trait, each method by one call."
    );
    let server_docs = format!("Serves a [`{plain}`]: add it to a router.");
    let marker_docs = format!("The service `{full_name}` that [`{plain}`] declares.");
    let channel = format_ident!("C");
    quote! {
        #[doc = #client_docs]
        #(#deprecated)*
        #[derive(::core::clone::Clone, ::core::fmt::Debug)]
        #vis struct #client<#channel = ::blixard_rpc::codegen::Channel>(
            ::blixard_rpc::codegen::Client<#channel>,
        );
        #[doc = #server_docs]
        #(#deprecated)*
        #[allow(dead_code)]
        #vis type #server<T> = ::blixard_rpc::codegen::Server<#marker, T>;
        #[doc = #marker_docs]
        #[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
        #vis struct #marker;
    }
}
