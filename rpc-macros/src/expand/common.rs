//! What more than one part of an expansion says in the same way.

use proc_macro2::{Group, TokenStream};
use quote::{format_ident, quote};
use syn::{ReturnType, Signature};

use crate::model::{Method, Service};

/// The place of a method among those that are compiled in: a sum where `#[cfg]` is on one before it.
pub(super) fn index(service: &Service, place: usize) -> TokenStream {
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

/// The function of the runtime that carries calls of a method's shape.
pub(super) fn shape(method: &Method) -> proc_macro2::Ident {
    format_ident!("{}", method.shape())
}

/// `async fn f() -> T` as `fn f() -> impl Future<Output = T> + Send`. That is all that the macro does to a method.
pub(super) fn function(signature: &Signature, body: Option<&Group>) -> TokenStream {
    if signature.asyncness.is_none() {
        return match body {
            Some(body) => quote!(#signature #body),
            None => quote!(#signature;),
        };
    }
    let signature = spelled(
        signature,
        &quote!(::core::future::Future),
        &quote!(::core::marker::Send),
    );
    match body {
        Some(body) => quote!(#signature { async move #body }),
        None => quote!(#signature;),
    }
}

/// The signature with its future spelled out, where `__rpc` is the runtime.
pub(super) fn spelled_out(signature: &Signature) -> TokenStream {
    spelled(signature, &quote!(__rpc::Future), &quote!(__rpc::Send))
}

/// The signature with its future spelled out; in the trait by the paths of `core`, in the `const _` by those of the runtime.
fn spelled(signature: &Signature, future: &TokenStream, send: &TokenStream) -> TokenStream {
    let mut plain = signature.clone();
    plain.asyncness = None;
    plain.output = ReturnType::Default;
    let clause = plain.generics.where_clause.take();
    let output = match &signature.output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, ty) => quote!(#ty),
    };
    quote!(#plain -> impl #future<Output = #output> + #send #clause)
}
