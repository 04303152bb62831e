//! `#[derive(RpcError)]`: an error enum becomes a status with a code and a typed detail, and comes back from it as the same enum.

mod expand;
mod model;
mod parse;

use proc_macro2::TokenStream;
use syn::DeriveInput;

use crate::errors::Errors;

/// The derive: what it is made of, or all that is wrong with it.
pub(crate) fn derive(input: &DeriveInput) -> TokenStream {
    let errors = Errors::default();
    let error = parse::rpc_error(input, &errors);
    match error {
        Some(error) if errors.is_empty() => expand::rpc_error(&error),
        _ => errors.with(expand::fallback(input)),
    }
}
