//! The least output after mistakes: the trait, and stubs of what is generated from it, so that code that uses them has no errors
//! that only follow. Half-typed input comes out as the trait as well, which is what an editor completes in.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    FnArg, Pat, ReturnType,
    visit::Visit,
    visit_mut::{self, VisitMut},
};

use super::{common, service};
use crate::{
    attr,
    model::{self, Input, Item, RawMethod},
};

/// The trait with stubs.
pub(crate) fn fallback(input: &Input) -> TokenStream {
    let Input {
        vis,
        modifiers,
        ident,
        generics,
        supertraits,
        ..
    } = input;
    let attrs = input
        .attrs
        .iter()
        .filter(|attr| !attr.path().is_ident("rpc"));
    let clause = &generics.where_clause;
    let items = input.items.iter().map(|item| match item {
        Item::Method(method) => {
            let attrs = method
                .attrs
                .iter()
                .filter(|attr| !attr.path().is_ident("rpc") && attr::hidden(attr).is_none());
            let function = common::function(&declared(method), method.body.as_ref());
            quote!(#(#attrs)* #function)
        }
        Item::Other(tokens) | Item::Broken(tokens) => tokens.clone(),
    });
    let supertraits = supertraits.iter();
    let names = service::names(vis, ident, &ident.to_string(), &[]);
    let implementations = implementations(input);
    quote! {
        #(#attrs)*
        #vis #modifiers trait #ident #generics:
            ::core::marker::Send + ::core::marker::Sync + 'static #(+ #supertraits)* #clause
        {
            #(#items)*
        }
        #names
        #[allow(deprecated, unused, clippy::all)]
        const _: () = {
            use ::blixard_rpc::codegen as __rpc;
            #implementations
        };
    }
}

/// What the marker and the client implement, as far as the mistakes allow.
fn implementations(input: &Input) -> TokenStream {
    let Input { vis, ident, .. } = input;
    let client = model::client(ident);
    let marker = model::marker(ident);
    let own = quote! {
        impl #marker {
            #vis fn descriptor() -> &'static __rpc::ServiceDescriptor {
                ::core::unreachable!()
            }
        }
        impl<__C: __rpc::Dispatch + __rpc::Clone> #client<__C> {
            #vis fn new(channel: __C) -> Self {
                Self(__rpc::Client::new(channel))
            }
            #vis fn with(&self, options: impl __rpc::Into<__rpc::CallOptions>) -> Self {
                Self(self.0.with(options))
            }
        }
    };
    if !input.generics.params.is_empty() {
        return own;
    }
    let stub = stub(input);
    quote! {
        #own
        impl<__T: #ident> __rpc::Service<__T> for #marker {
            const NAME: &'static str = "";
            fn descriptor() -> &'static __rpc::ServiceDescriptor {
                ::core::unreachable!()
            }
            async fn serve(
                _: __rpc::Arc<__T>,
                call: __rpc::Call,
            ) -> __rpc::Answer {
                call.unimplemented()
            }
        }
        #stub
    }
}

/// The client's implementation, where one can be written without knowing more than the trait says.
fn stub(input: &Input) -> Option<TokenStream> {
    let ident = &input.ident;
    let client = model::client(ident);
    let mut methods = Vec::new();
    for item in &input.items {
        let method = match item {
            Item::Method(method) => method,
            Item::Other(_) => return None,
            // Somebody is typing: the rest of the trait goes on.
            Item::Broken(_) => continue,
        };
        if method.body.is_some() {
            continue;
        }
        let cfgs = method
            .attrs
            .iter()
            .filter(|attr| attr.path().is_ident("cfg"));
        let signature = declared(method);
        if returns_impl(&signature.output) {
            return None;
        }
        let function = if signature.asyncness.is_some() {
            let signature = common::spelled_out(&signature);
            quote!(#signature { async move { ::core::unreachable!() } })
        } else {
            quote!(#signature { ::core::unreachable!() })
        };
        methods.push(quote!(#(#cfgs)* #function));
    }
    let unsafety = input.modifiers.clone();
    let foreign = input.supertraits.iter().any(|bound| {
        matches!(bound, syn::TypeParamBound::Trait(bound)
            if !bound.path.is_ident("Send") && !bound.path.is_ident("Sync"))
    });
    (unsafety.is_empty() && !foreign && input.generics.where_clause.is_none()).then(|| {
        quote! {
            impl<__C: __rpc::Dispatch + __rpc::Clone> #ident for #client<__C> {
                #(#methods)*
            }
        }
    })
}

/// The signature as it can be declared: what was reported and would be an error again is left out.
fn declared(method: &RawMethod) -> syn::Signature {
    let mut signature = method.signature.clone();
    signature.constness = None;
    if method.signature.asyncness.is_some() {
        signature.abi = None;
    }
    signature.variadic = None;
    Carry.visit_signature_mut(&mut signature);
    for input in &mut signature.inputs {
        if let FnArg::Typed(argument) = input {
            argument.attrs.retain(|attr| {
                !["tag", "prost", "rpc", "doc"]
                    .iter()
                    .any(|name| attr.path().is_ident(name))
            });
            if method.body.is_none() && !matches!(&*argument.pat, Pat::Wild(_)) {
                let name = match &*argument.pat {
                    Pat::Ident(pat) => pat.ident.clone(),
                    _ => quote::format_ident!("_argument"),
                };
                *argument.pat = Pat::Ident(syn::PatIdent {
                    attrs: Vec::new(),
                    by_ref: None,
                    mutability: None,
                    ident: name,
                    subpat: None,
                });
            }
        }
    }
    signature
}

/// Gives a stream that carries nothing something to carry.
struct Carry;

impl VisitMut for Carry {
    fn visit_path_segment_mut(&mut self, segment: &mut syn::PathSegment) {
        if segment.ident == "Streaming" && segment.arguments.is_none() {
            segment.arguments = syn::PathArguments::AngleBracketed(syn::parse_quote!(<()>));
        }
        visit_mut::visit_path_segment_mut(self, segment);
    }
}

fn returns_impl(output: &ReturnType) -> bool {
    struct Find(bool);
    impl<'ast> Visit<'ast> for Find {
        fn visit_type_impl_trait(&mut self, _: &'ast syn::TypeImplTrait) {
            self.0 = true;
        }
    }
    let mut find = Find(false);
    find.visit_return_type(output);
    find.0
}
