//! Tokens at another place in the source. The compiler reports once what is wrong in the same way at the same place, however often it
//! is asked for.

use proc_macro2::{Group, Span, TokenStream, TokenTree};
use quote::ToTokens;

/// The same tokens, of which the compiler speaks as if all were at `span`. What they mean stays.
pub(crate) fn at(span: Span, tokens: impl ToTokens) -> TokenStream {
    tokens
        .into_token_stream()
        .into_iter()
        .map(|token| {
            let here = token.span().located_at(span);
            let mut token = match token {
                TokenTree::Group(group) => {
                    Group::new(group.delimiter(), at(span, group.stream())).into()
                }
                token => token,
            };
            token.set_span(here);
            token
        })
        .collect()
}
