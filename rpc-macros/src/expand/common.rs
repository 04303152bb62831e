//! What more than one part of an expansion says in the same way.

use proc_macro2::{Group, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{GenericArgument, PathArguments, ReturnType, Signature, Type, spanned::Spanned};

use crate::{
    model::{Method, Service},
    span::at,
};

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
    format_ident!("{}", method.shape(), span = place_of_error(method))
}

/// Where the compiler is to say that the error of a method is none that a call can have: at its type, or where that would be.
pub(super) fn error_span(method: &Method) -> Span {
    Span::call_site().located_at(place_of_error(method))
}

fn place_of_error(method: &Method) -> Span {
    match &method.signature.output {
        ReturnType::Default => method.signature.ident.span(),
        ReturnType::Type(_, ty) => last_argument(ty).unwrap_or(ty).span(),
    }
}

/// What carries the calls of a method, `carrier`; where the method names an error type, that it is one is asked here, before all
/// else. So both sides ask in the same words, which the compiler repeats once.
pub(super) fn carrier(method: &Method, carrier: &TokenStream) -> TokenStream {
    match named_error(method) {
        Some(error) => {
            let error = at(error.span(), error);
            quote_spanned!(place_of_error(method)=> __rpc::fails_with::<#error, _>(#carrier))
        }
        None => carrier.clone(),
    }
}

/// The error type of a method that names another than `Status`.
pub(super) fn named_error(method: &Method) -> Option<&Type> {
    let ReturnType::Type(_, ty) = &method.signature.output else {
        return None;
    };
    last_argument(ty).filter(|error| match error {
        Type::Path(path) => path
            .path
            .segments
            .last()
            .is_none_or(|last| last.ident != "Status"),
        _ => true,
    })
}

/// The error of a method that says it has one of its own.
pub(super) fn own_error(method: &Method) -> Option<&Type> {
    match &method.signature.output {
        ReturnType::Default => None,
        ReturnType::Type(_, ty) => last_argument(ty),
    }
}

/// The `E` of `Result<T, E>`.
fn last_argument(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else {
        return None;
    };
    let PathArguments::AngleBracketed(arguments) = &path.path.segments.last()?.arguments else {
        return None;
    };
    match arguments.args.last()? {
        GenericArgument::Type(ty) if arguments.args.len() > 1 => Some(ty),
        _ => None,
    }
}

/// `async fn f() -> T` as `fn f() -> impl Future<Output = T> + Send`. That is all that the macro does to a method.
pub(super) fn function(signature: &Signature, body: Option<&Group>) -> TokenStream {
    let Some(asyncness) = &signature.asyncness else {
        return match body {
            Some(body) => quote!(#signature #body),
            None => quote!(#signature;),
        };
    };
    // What the compiler says of the future it says of the method.
    let here = Span::call_site().located_at(asyncness.span);
    let future = quote_spanned!(here=> impl ::core::future::Future);
    // A generic method was reported. That its future may not be `Send` would only follow.
    let send = signature
        .generics
        .params
        .is_empty()
        .then(|| quote_spanned!(here=> + ::core::marker::Send));
    let signature = returning(signature, &future, send.as_ref());
    match body {
        Some(body) => quote!(#signature { async move #body }),
        None => quote!(#signature;),
    }
}

/// The signature with its future spelled out, where `__rpc` is the runtime.
pub(super) fn spelled_out(signature: &Signature) -> TokenStream {
    let send = signature
        .generics
        .params
        .is_empty()
        .then(|| quote!(+ __rpc::Send));
    returning(signature, &quote!(impl __rpc::Future), send.as_ref())
}

fn returning(
    signature: &Signature,
    future: &TokenStream,
    send: Option<&TokenStream>,
) -> TokenStream {
    let mut plain = signature.clone();
    plain.asyncness = None;
    plain.output = ReturnType::Default;
    let clause = plain.generics.where_clause.take();
    let output = match &signature.output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, ty) => quote!(#ty),
    };
    quote!(#plain -> #future<Output = #output> #send #clause)
}
