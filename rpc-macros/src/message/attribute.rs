//! `#[message]`: adds the derives, and tells serde how to treat each field.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Data, DeriveInput, Fields, parse_quote, spanned::Spanned};

use super::{expand, parse};

/// The attribute's expansion: the item as it was written, with what it derives.
pub(crate) fn attribute(arguments: &TokenStream, mut input: DeriveInput) -> TokenStream {
    let mut errors = parse::Errors(None);
    if !arguments.is_empty() {
        errors.add(
            arguments.span(),
            "`#[message]` takes no arguments; fields and variants take `#[tag(n)]`, `#[prost]` and `#[unknown]`",
        );
    }
    parse::refuse_serde(&input.attrs, &mut errors);
    // The derive comes after `cfg`, and finds the same mistakes.
    if !parse::has_cfg(&input.data)
        && let Err(error) = parse::parse(&input)
    {
        errors.push(error);
    }
    if let Err(error) = errors.finish() {
        let error = error.into_compile_error();
        strip(&mut input);
        let stub = expand::stub(&input);
        return quote!(#error #input #stub);
    }
    prepare(&mut input);
    quote! {
        #[derive(
            ::blixard_rpc::codegen::serde::Serialize,
            ::blixard_rpc::codegen::serde::Deserialize,
            ::blixard_rpc::Message,
        )]
        #[serde(crate = "::blixard_rpc::codegen::serde")]
        #input
    }
}

/// Tells serde how to treat each field, and Rust how to number variants.
fn prepare(input: &mut DeriveInput) {
    match &mut input.data {
        Data::Struct(data) => direct(&mut data.fields),
        Data::Enum(data) => {
            let numbered = data
                .variants
                .iter()
                .any(|variant| variant.discriminant.is_some());
            for variant in &mut data.variants {
                direct(&mut variant.fields);
            }
            // Rust asks for it where some variant has a number, and another has data.
            if numbered && !input.attrs.iter().any(|attr| attr.path().is_ident("repr")) {
                input.attrs.push(parse_quote!(#[repr(i32)]));
            }
        }
        Data::Union(_) => {}
    }
}

fn direct(fields: &mut Fields) {
    for field in fields {
        let prost = field.attrs.iter().any(|attr| attr.path().is_ident("prost"));
        field.attrs.push(if prost {
            parse_quote!(#[serde(with = "::blixard_rpc::codegen::prost_field")])
        } else {
            parse_quote!(#[serde(with = "::blixard_rpc::codegen::field")])
        });
    }
}

/// Removes what only our derive and serde's understand.
fn strip(input: &mut DeriveInput) {
    let clean = |attrs: &mut Vec<Attribute>| {
        attrs.retain(|attr| !parse::is_helper(attr) && !attr.path().is_ident("serde"));
    };
    let clean_fields = |fields: &mut Fields| {
        for field in fields {
            clean(&mut field.attrs);
        }
    };
    clean(&mut input.attrs);
    match &mut input.data {
        Data::Struct(data) => clean_fields(&mut data.fields),
        Data::Enum(data) => {
            let numbered = data
                .variants
                .iter()
                .any(|variant| variant.discriminant.is_some());
            for variant in &mut data.variants {
                clean(&mut variant.attrs);
                clean_fields(&mut variant.fields);
            }
            if numbered && !input.attrs.iter().any(|attr| attr.path().is_ident("repr")) {
                input.attrs.push(parse_quote!(#[repr(i32)]));
            }
        }
        Data::Union(data) => {
            for field in &mut data.fields.named {
                clean(&mut field.attrs);
            }
        }
    }
}
