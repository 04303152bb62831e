//! Prints the static descriptor: one expression a method.

use proc_macro2::{Literal, TokenStream};
use quote::quote;

use super::common;
use crate::model::{Method, Request, Response, Service, Settings};

/// The statics, and the marker's way to them.
pub(super) fn descriptor(service: &Service) -> TokenStream {
    let Service {
        full_name,
        docs,
        vis,
        file_descriptor_set,
        ..
    } = service;
    let marker = service.marker();
    let set = file_descriptor_set
        .as_ref()
        .map(|set| quote!(.with_file_descriptor_set(#set)));
    let deprecated = service.deprecated().then(|| quote!(.with_deprecated()));
    let has_errors = service
        .methods
        .iter()
        .any(|it| common::own_error(it).is_some());
    let no_detail = has_errors.then(|| {
        quote!(
            use __rpc::NoDetail as _;
        )
    });
    let methods = service
        .methods
        .iter()
        .map(|method| describe(service, method));
    quote! {
        #no_detail
        static __SERVICE: __rpc::ServiceDescriptor =
            __rpc::service(#full_name, #docs, __METHODS) #set #deprecated;
        static __METHODS: &[__rpc::MethodDescriptor] =
            &__rpc::methods(#marker::descriptor, [#(#methods,)*]);
        impl #marker {
            #[doc = "What is known of the service before any call."]
            #[must_use]
            #vis fn descriptor() -> &'static __rpc::ServiceDescriptor {
                &__SERVICE
            }
        }
    }
}

/// One method: path and messages, and after them what was said of it.
fn describe(service: &Service, method: &Method) -> TokenStream {
    let Method {
        cfgs,
        docs,
        settings,
        ..
    } = method;
    let shape = common::shape(method);
    let path = format!("/{}/{}", service.full_name, method.name);
    let request = match &method.request {
        Request::Unit => quote!(()),
        Request::Message { ty, .. } => quote!(#ty),
        Request::Stream { item, .. } => quote!(#item),
        Request::Fields(_) => {
            let request = service.request(method);
            quote!(#request)
        }
    };
    let messages = match &method.response {
        Response::Nothing => quote!(#request),
        Response::Message(ty) | Response::Stream(ty) => quote!(#request, #ty),
    };
    let docs = (!docs.is_empty()).then(|| quote!(.with_docs(#docs)));
    let argument = match &method.request {
        Request::Message {
            field: Some(field),
            docs,
            ..
        } => Some(quote!(.with_argument(#field, #docs))),
        _ => None,
    };
    let deprecated = method.deprecated().then(|| quote!(.with_deprecated()));
    let error = common::own_error(method)
        .map(|error| quote!(.with_error(__rpc::ErrorOf::<#error>::DETAIL)));
    let settings = with_settings(settings);
    quote!(#(#cfgs)* __rpc::#shape::<#messages>(#path) #docs #argument #error #settings #deprecated)
}

fn with_settings(settings: &Settings) -> TokenStream {
    let idempotent = settings.idempotent.then(|| quote!(.with_idempotent()));
    let deadline = settings.deadline.map(|deadline| {
        let duration = if deadline.subsec_nanos() == 0 {
            let seconds = Literal::u64_unsuffixed(deadline.as_secs());
            quote!(from_secs(#seconds))
        } else {
            // At most a year: fits.
            let micros = Literal::u128_unsuffixed(deadline.as_micros());
            quote!(from_micros(#micros))
        };
        quote!(.with_deadline(::core::time::Duration::#duration))
    });
    let priority = settings
        .priority
        .as_ref()
        .map(|priority| quote!(.with_priority(__rpc::Priority::#priority)));
    let max_message = settings.max_message_bytes.map(|bytes| {
        let bytes = Literal::usize_unsuffixed(bytes);
        quote!(.with_max_message_bytes(#bytes))
    });
    quote!(#idempotent #deadline #priority #max_message)
}
