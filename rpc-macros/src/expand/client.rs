//! Prints the client: the trait again, each method by one call. Its futures are spelled out: of an `async fn` the compiler would have
//! to look into the body to know that it is `Send`, and finds a cycle (E0391) where services call each other.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{FnArg, Pat};

use super::common;
use crate::model::{Field, Method, Request, Service};

/// The client's own methods, and its implementation of the trait.
pub(super) fn client(service: &Service) -> TokenStream {
    let Service { ident, vis, .. } = service;
    let client = service.client();
    let methods = service
        .methods
        .iter()
        .enumerate()
        .map(|(place, method)| call(service, method, place));
    quote! {
        impl<__C: __rpc::Dispatch + __rpc::Clone> #client<__C> {
            #[doc = "A client that calls through `channel`."]
            #vis fn new(channel: __C) -> Self {
                Self(__rpc::Client::new(channel))
            }
            #[doc = "The same client with these options for its calls; a `&Context` hands on what it has."]
            #[must_use]
            #vis fn with(&self, options: impl __rpc::Into<__rpc::CallOptions>) -> Self {
                Self(self.0.with(options))
            }
        }
        impl<__C: __rpc::Dispatch + __rpc::Clone> #ident for #client<__C> {
            #(#methods)*
        }
    }
}

fn call(service: &Service, method: &Method, place: usize) -> TokenStream {
    let cfgs = &method.cfgs;
    let shape = common::shape(method);
    let index = common::index(service, place);
    let signature = common::spelled_out(&bare(method));
    let (made, request) = match &method.request {
        Request::Unit => (None, quote!(())),
        Request::Message { argument, .. } | Request::Stream { argument, .. } => {
            (None, quote!(#argument))
        }
        Request::Fields(fields) => {
            let ty = service.request(method);
            let fields = fields.iter().map(|Field { name, argument, .. }| {
                if name == argument {
                    quote!(#name)
                } else {
                    quote!(#name: #argument)
                }
            });
            (
                Some(quote!(let request = #ty { #(#fields),* };)),
                quote!(request),
            )
        }
    };
    let arguments = quote!(&__METHODS[#index], #request);
    let here = common::error_span(method);
    let call = match &method.context {
        Some(cx) => {
            let carrier = common::carrier(method, &quote_spanned!(here=> self.0.with(#cx)));
            quote_spanned!(here=> async move { #carrier.#shape(#arguments).await })
        }
        None => {
            let carrier = match common::named_error(method) {
                Some(_) => common::carrier(method, &quote_spanned!(here=> &self.0)),
                None => quote_spanned!(here=> self.0),
            };
            quote_spanned!(here=> #carrier.#shape(#arguments))
        }
    };
    quote!(#(#cfgs)* #signature { #made #call })
}

/// The signature without what belongs to a body, attributes and `mut` of arguments; and with a name for the context.
fn bare(method: &Method) -> syn::Signature {
    let mut signature = method.signature.clone();
    for input in &mut signature.inputs {
        if let FnArg::Typed(argument) = input {
            argument.attrs.clear();
            match (&mut *argument.pat, &method.context) {
                (Pat::Ident(pat), _) => pat.mutability = None,
                (pat, Some(context)) => *pat = syn::parse_quote!(#context),
                _ => {}
            }
        }
    }
    signature
}
