//! All mistakes of a message.

use proc_macro2::Span;
use quote::ToTokens;
use syn::{Error, Result};

/// All that is wrong so far.
pub(super) struct Errors(pub(super) Option<Error>);

impl Errors {
    pub(super) fn add(&mut self, span: Span, message: impl std::fmt::Display) {
        self.push(Error::new(span, message));
    }

    /// The same, if anything is wrong.
    pub(super) fn add_any(&mut self, span: Span, message: Option<String>) {
        if let Some(message) = message {
            self.add(span, message);
        }
    }

    /// The same, for all of what is wrong where it has several tokens.
    pub(super) fn add_at(&mut self, what: impl ToTokens, message: impl std::fmt::Display) {
        self.push(Error::new_spanned(what, message));
    }

    pub(super) fn push(&mut self, error: Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            None => self.0 = Some(error),
        }
    }

    pub(super) fn finish(self) -> Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}
