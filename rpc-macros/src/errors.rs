//! Collects every mistake, so that all are reported at once. Nothing here knows what a mistake is.

use std::{cell::RefCell, fmt::Display};

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};

/// The mistakes found so far.
#[derive(Default)]
pub(crate) struct Errors(RefCell<Vec<syn::Error>>);

impl Errors {
    /// Reports a mistake on the span of `tokens`.
    pub(crate) fn at(&self, tokens: impl ToTokens, message: impl Display) {
        self.push(syn::Error::new_spanned(tokens, message));
    }

    /// Reports what the parser found.
    pub(crate) fn push(&self, error: syn::Error) {
        self.0.borrow_mut().push(error);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// `tokens`, and after them one `compile_error!` for each mistake.
    pub(crate) fn with(self, tokens: TokenStream) -> TokenStream {
        let errors = self
            .0
            .into_inner()
            .into_iter()
            .map(|error| error.into_compile_error());
        quote!(#tokens #(#errors)*)
    }
}
