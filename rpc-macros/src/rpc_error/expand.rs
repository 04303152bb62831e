//! Prints the detail, which is a message, and the way to a status and back.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Data, DeriveInput, Ident};

use super::{
    model::{Field, Payload, RpcError, Variant},
    parse,
};

/// The whole expansion of `#[derive(RpcError)]`.
pub(super) fn rpc_error(error: &RpcError) -> TokenStream {
    let RpcError { ident, foreign, .. } = error;
    let display = error.displayed.then(|| display(error));
    let conversions = if error.variants.is_empty() {
        quote! {
            impl ::core::convert::From<#ident> for __rpc::Status {
                fn from(error: #ident) -> Self {
                    let #ident::#foreign(status) = error;
                    status
                }
            }
            impl ::core::convert::From<__rpc::Status> for #ident {
                fn from(status: __rpc::Status) -> Self {
                    Self::#foreign(status)
                }
            }
        }
    } else {
        conversions(error)
    };
    // What is deprecated still goes over the wire.
    let deprecated = error.variants.iter().any(|variant| {
        let mut attrs = variant.attrs.iter();
        attrs.any(|attr| attr.path().is_ident("deprecated"))
    });
    let allow = deprecated.then(|| quote!(#[allow(deprecated)]));
    quote! {
        #allow
        const _: () = {
            use ::blixard_rpc::codegen as __rpc;
            #conversions
            #display
        };
    }
}

fn conversions(error: &RpcError) -> TokenStream {
    let RpcError {
        ident,
        attrs,
        package,
        type_url,
        variants,
        foreign,
        ..
    } = error;
    let detail = format_ident!("{ident}Detail");
    // Where `Display` is missing, the enum is what lacks it.
    let here = Span::call_site().located_at(ident.span());
    let text = quote_spanned!(here=> __rpc::text(&error));
    let declared = variants.iter().map(|variant| {
        let Variant { attrs, ident, .. } = variant;
        // Its code is not in the detail, but in the status around it.
        let apart = attrs.iter().any(|attr| attr.path().is_ident("doc"));
        let apart = apart.then(|| quote!(#[doc = ""]));
        let code = format!(" With the code `{}`.", screaming(&variant.code));
        let payload = match &variant.payload {
            // Braces, so that an enum of nothing but such variants is still one with data: a message.
            Payload::Nothing => quote!({}),
            Payload::Value { attrs, ty } => quote!((#(#attrs)* #ty)),
            Payload::Fields(fields) => {
                let fields = fields
                    .iter()
                    .map(|Field { attrs, ident, ty }| quote!(#(#attrs)* #ident: #ty));
                quote!({ #(#fields),* })
            }
        };
        quote!(#(#attrs)* #apart #[doc = #code] #ident #payload)
    });
    let to_detail = variants.iter().map(|variant| {
        let Variant {
            cfgs,
            ident: name,
            code,
            ..
        } = variant;
        let (from, to) = (ours(variant), theirs(variant));
        quote!(#(#cfgs)* #ident::#name #from => (__rpc::Code::#code, #detail::#name #to))
    });
    let from_detail = variants.iter().map(|variant| {
        let Variant {
            cfgs, ident: name, ..
        } = variant;
        let (from, to) = (theirs(variant), ours(variant));
        quote!(#(#cfgs)* __rpc::Option::Some(#detail::#name #from) => Self::#name #to)
    });
    quote! {
        #[::blixard_rpc::message]
        #(#attrs)*
        enum #detail {
            #(#declared),*
        }
        impl __rpc::Detailed for #ident {
            const PACKAGE: &'static str = #package;
            fn describe(schema: &mut __rpc::Schema) -> __rpc::String {
                <#detail as __rpc::Message>::describe(schema)
            }
        }
        impl ::core::convert::From<#ident> for __rpc::Status {
            fn from(error: #ident) -> Self {
                let text = #text;
                let (code, detail) = match error {
                    #(#to_detail,)*
                    #ident::#foreign(status) => return status,
                };
                __rpc::with_detail(Self::new(code, text), #type_url, &detail)
            }
        }
        impl ::core::convert::From<__rpc::Status> for #ident {
            fn from(status: __rpc::Status) -> Self {
                match __rpc::detail(&status, #type_url) {
                    #(#from_detail,)*
                    __rpc::Option::None => Self::#foreign(status),
                }
            }
        }
    }
}

/// `NotFound` as gRPC's document spells it.
fn screaming(code: &Ident) -> String {
    let mut out = String::new();
    for c in code.to_string().chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(c.to_uppercase());
    }
    out
}

/// What a variant of the user's enum holds, as pattern and as expression.
fn ours(variant: &Variant) -> TokenStream {
    match &variant.payload {
        Payload::Nothing => quote!(),
        Payload::Value { .. } => quote!((value)),
        Payload::Fields(fields) => names(fields),
    }
}

/// What a variant of the detail holds, as pattern and as expression.
fn theirs(variant: &Variant) -> TokenStream {
    match &variant.payload {
        Payload::Nothing => quote!({}),
        Payload::Value { .. } => quote!((value)),
        Payload::Fields(fields) => names(fields),
    }
}

fn names(fields: &[Field]) -> TokenStream {
    let names = fields.iter().map(|field| &field.ident);
    quote!({ #(#names),* })
}

/// `Display` by the variants' messages, and `Error`.
fn display(error: &RpcError) -> TokenStream {
    let RpcError {
        ident,
        variants,
        foreign,
        ..
    } = error;
    let arms = variants.iter().filter_map(|variant| {
        let Variant {
            cfgs,
            ident,
            payload,
            ..
        } = variant;
        let message = variant.message.as_ref()?;
        let (pattern, message) = match payload {
            Payload::Nothing => (quote!(), message.clone()),
            Payload::Value { .. } => {
                let value = Ident::new("value", message.span());
                (quote!((#value)), parse::with_named_value(message))
            }
            Payload::Fields(fields) => (names(fields), message.clone()),
        };
        Some(quote!(#(#cfgs)* Self::#ident #pattern => ::core::write!(__f, #message)))
    });
    quote! {
        impl ::core::fmt::Display for #ident {
            #[allow(unused_variables)]
            fn fmt(&self, __f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                match self {
                    #(#arms,)*
                    Self::#foreign(status) => ::core::fmt::Display::fmt(status, __f),
                }
            }
        }
        impl ::core::error::Error for #ident {
            fn source(
                &self,
            ) -> __rpc::Option<&(dyn ::core::error::Error + 'static)> {
                match self {
                    Self::#foreign(status) => ::core::error::Error::source(status),
                    _ => __rpc::Option::None,
                }
            }
        }
    }
}

/// Stubs after mistakes, so that code that uses the enum has no errors that only follow.
pub(super) fn fallback(input: &DeriveInput) -> TokenStream {
    let ident = &input.ident;
    let (generics, arguments, clause) = input.generics.split_for_impl();
    let has_message = match &input.data {
        Data::Enum(data) => data.variants.iter().any(|variant| {
            variant.attrs.iter().any(|attr| {
                attr.path().is_ident("rpc") && quote!(#attr).to_string().contains("message")
            })
        }),
        _ => false,
    };
    let display = has_message.then(|| {
        quote! {
            impl #generics ::core::fmt::Display for #ident #arguments #clause {
                fn fmt(&self, _: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    ::core::unreachable!()
                }
            }
            impl #generics ::core::error::Error for #ident #arguments #clause {}
        }
    });
    quote! {
        const _: () = {
            use ::blixard_rpc::codegen as __rpc;
            impl #generics ::core::convert::From<#ident #arguments> for __rpc::Status #clause {
                fn from(_: #ident #arguments) -> Self {
                    ::core::unreachable!()
                }
            }
            impl #generics ::core::convert::From<__rpc::Status> for #ident #arguments #clause {
                fn from(_: __rpc::Status) -> Self {
                    ::core::unreachable!()
                }
            }
            #display
        };
    }
}
