//! `#[message]`: adds the derives, and tells serde how to treat each field.

use proc_macro2::{Group, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{
    Attribute, Data, DeriveInput, Field, Fields, Ident, Item, LitStr, parse_quote, spanned::Spanned,
};

use super::{errors::Errors, expand, helper, parse};

/// The attribute's expansion: the item as it was written, with what it derives.
pub(crate) fn attribute(arguments: &TokenStream, item: TokenStream) -> TokenStream {
    match syn::parse2(item.clone()) {
        Ok(input) => expand(arguments, input),
        Err(error) => {
            // An item of another kind begins with what syn did not expect; a half-typed one does not.
            let error = if syn::parse2::<Item>(item.clone()).is_ok() {
                syn::Error::new(
                    error.span(),
                    "`#[message]` belongs before a struct or an enum",
                )
            } else {
                error
            };
            let error = error.into_compile_error();
            quote!(#error #item)
        }
    }
}

fn expand(arguments: &TokenStream, mut input: DeriveInput) -> TokenStream {
    let mut errors = Errors(None);
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

/// That `#[message]` has been here.
pub(super) fn require(input: &DeriveInput) -> syn::Result<()> {
    let mut fields: Box<dyn Iterator<Item = &Field>> = match &input.data {
        Data::Struct(data) => Box::new(data.fields.iter()),
        Data::Enum(data) => Box::new(data.variants.iter().flat_map(|variant| &variant.fields)),
        Data::Union(_) => Box::new(std::iter::empty()),
    };
    if fields.all(|field| field.attrs.iter().any(parse::is_ours)) {
        return Ok(());
    }
    Err(syn::Error::new(
        input.ident.span(),
        "write `#[message]` instead of `#[derive(Message)]`: it also derives what postcard needs, in the form that it needs",
    ))
}

/// Tells serde how to treat each field, and Rust how to number variants.
fn prepare(input: &mut DeriveInput) {
    let own = &input.ident;
    match &mut input.data {
        Data::Struct(data) => direct(own, &mut data.fields),
        Data::Enum(data) => {
            for variant in &mut data.variants {
                direct(own, &mut variant.fields);
            }
        }
        Data::Union(_) => {}
    }
    number(input);
}

/// Rust asks for a representation where some variant has a number, and another has data.
fn number(input: &mut DeriveInput) {
    let Data::Enum(data) = &input.data else {
        return;
    };
    let numbered = data
        .variants
        .iter()
        .any(|variant| variant.discriminant.is_some());
    if numbered && !input.attrs.iter().any(|attr| attr.path().is_ident("repr")) {
        input.attrs.push(parse_quote!(#[repr(i32)]));
    }
}

/// Tells serde to go by our traits. The path has the span of the field's type: a type that cannot be there is reported there, and
/// since the derive asks for the same, only once.
fn direct(own: &Ident, fields: &mut Fields) {
    for field in fields {
        let prost = field.attrs.iter().any(|attr| attr.path().is_ident("prost"));
        let by = if prost {
            "prost_field::ProstField<_>"
        } else {
            "Field"
        };
        let ty = spelled_out(own, field.ty.to_token_stream()).to_string();
        let span = field.ty.span();
        if ty.contains('$') {
            // `$crate` means nothing in a string.
            let module = if prost { "prost_field" } else { "field" };
            let with = LitStr::new(&format!("{}{module}", parse::OUR_PATH), span);
            field.attrs.push(parse_quote!(#[serde(with = #with)]));
        } else {
            let path = |method: &str| {
                LitStr::new(
                    &format!("<{ty} as {}{by}>::{method}", parse::OUR_PATH),
                    span,
                )
            };
            let (serialize, deserialize) = (path("serialize"), path("deserialize"));
            field.attrs.push(
                parse_quote!(#[serde(serialize_with = #serialize, deserialize_with = #deserialize)]),
            );
        }
    }
}

/// The type without `Self`, which is another one in what serde generates.
fn spelled_out(own: &Ident, tokens: TokenStream) -> TokenStream {
    tokens
        .into_iter()
        .map(|token| match token {
            TokenTree::Ident(ident) if ident == "Self" => own.clone().into(),
            TokenTree::Group(group) => {
                Group::new(group.delimiter(), spelled_out(own, group.stream())).into()
            }
            token => token,
        })
        .collect()
}

/// Removes what only our derive and serde's understand, and what Rust would complain about again.
fn strip(input: &mut DeriveInput) {
    let clean = |attrs: &mut Vec<Attribute>| {
        attrs.retain(|attr| !helper::is_helper(attr) && !attr.path().is_ident("serde"));
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
            for variant in &mut data.variants {
                clean(&mut variant.attrs);
                clean_fields(&mut variant.fields);
                variant.discriminant = None;
            }
        }
        Data::Union(data) => {
            for field in &mut data.fields.named {
                clean(&mut field.attrs);
            }
        }
    }
}
