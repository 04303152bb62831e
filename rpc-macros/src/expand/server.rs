//! Prints the server: one match arm a method, which decodes, calls the implementation and encodes by one call of the runtime.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

use super::common;
use crate::model::{Field, Method, Request, Service};

/// What makes a service of every implementation of the trait.
pub(super) fn server(service: &Service) -> TokenStream {
    let Service {
        ident, full_name, ..
    } = service;
    let marker = service.marker();
    let arms = service
        .methods
        .iter()
        .enumerate()
        .map(|(place, method)| arm(service, method, place));
    let with_context = service
        .methods
        .iter()
        .any(|method| method.context.is_some());
    let mutable = with_context.then(|| quote!(mut));
    // Of a reference, so that the methods of `Arc` itself, such as `clone`, are not meant.
    let (parameter, target) = if service.methods.is_empty() {
        (quote!(_), None)
    } else {
        (quote!(target), Some(quote!(let target = &*target;)))
    };
    quote! {
        impl<__T: #ident> __rpc::Service<__T> for #marker {
            const NAME: &'static str = #full_name;
            fn descriptor() -> &'static __rpc::ServiceDescriptor {
                &__SERVICE
            }
            async fn serve(
                #parameter: __rpc::Arc<__T>,
                #mutable call: __rpc::Call,
            ) -> __rpc::Answer {
                #target
                match call.index() {
                    #(#arms)*
                    _ => call.unimplemented(),
                }
            }
        }
    }
}

fn arm(service: &Service, method: &Method, place: usize) -> TokenStream {
    let cfgs = &method.cfgs;
    let shape = common::shape(method);
    let function = &method.signature.ident;
    let index = common::index(service, place);
    let conditional = service.methods[..place]
        .iter()
        .any(|method| !method.cfgs.is_empty());
    let pattern = if conditional {
        quote!(index if index == #index)
    } else {
        index
    };
    let (request, arguments) = match &method.request {
        Request::Unit => (quote!(()), quote!()),
        Request::Fields(fields) => {
            let ty = service.request(method);
            let names = fields.iter().map(|Field { name, .. }| name);
            (quote!(request: #ty), quote!(#(request.#names),*))
        }
        Request::Message { .. } | Request::Stream { .. } => (quote!(request), quote!(request)),
    };
    let (context, cx) = match &method.context {
        Some(_) => (Some(quote!(let cx = &call.context();)), Some(quote!(cx,))),
        None => (None, None),
    };
    let handler = quote!(|#request| target.#function(#cx #arguments));
    let carrier = common::carrier(method, &quote!(call));
    let call = quote_spanned!(shape.span()=> #carrier.#shape(#handler).await);
    match context {
        Some(context) => quote!(#(#cfgs)* #pattern => { #context #call }),
        None => quote!(#(#cfgs)* #pattern => #call,),
    }
}
