//! `#[message]` and `#[derive(Message)]`: a plain struct or enum becomes a message in both codecs.

mod attribute;
mod errors;
mod expand;
mod helper;
mod model;
mod names;
mod parse;
mod reserved;
mod types;

pub(crate) use attribute::attribute;

use proc_macro2::TokenStream;
use syn::DeriveInput;

/// The derive: what it is made of, or all that is wrong with it. Only `#[message]` writes it: without what that tells serde, the two
/// codecs would differ.
pub(crate) fn derive(input: &DeriveInput) -> TokenStream {
    match parse::parse(input).and_then(|message| attribute::require(input).map(|()| message)) {
        Ok(message) => expand::expand(&message),
        Err(error) => {
            let error = error.into_compile_error();
            let stub = expand::stub(input);
            quote::quote!(#error #stub)
        }
    }
}
