//! Reads attributes that are no lists: tags, doc comments; and those that are hidden in `cfg_attr`.

use proc_macro2::TokenTree;
use syn::{Attribute, Expr, ExprLit, Ident, Lit, Meta, MetaNameValue};

use crate::errors::Errors;

/// The number of `#[tag(n)]`.
pub(crate) fn tag(attr: &Attribute, errors: &Errors) -> Option<u32> {
    let form = "write `#[tag(1)]`, a number from 1 to 536870911 that is not one of 19000 to 19999";
    let Meta::List(list) = &attr.meta else {
        errors.at(attr, format_args!("a tag needs its number: {form}"));
        return None;
    };
    let number = syn::parse2::<syn::LitInt>(list.tokens.clone())
        .ok()
        .and_then(|literal| literal.base10_parse::<u32>().ok());
    match number {
        Some(number @ (1..19_000 | 20_000..=536_870_911)) => Some(number),
        _ if list.tokens.is_empty() => {
            errors.at(attr, format_args!("a tag needs its number: {form}"));
            None
        }
        _ => {
            errors.at(&list.tokens, format_args!("not a protobuf tag: {form}"));
            None
        }
    }
}

/// The text of doc comments, lines joined; one space at the beginning of each is layout.
pub(crate) fn docs(attrs: &[Attribute]) -> String {
    let mut lines = Vec::new();
    for attr in attrs {
        if let Meta::NameValue(MetaNameValue { path, value, .. }) = &attr.meta
            && path.is_ident("doc")
            && let Expr::Lit(ExprLit {
                lit: Lit::Str(text),
                ..
            }) = value
        {
            for line in text.value().lines() {
                lines.push(line.strip_prefix(' ').unwrap_or(line).trim_end().to_owned());
            }
            if text.value().is_empty() {
                lines.push(String::new());
            }
        }
    }
    lines.join("\n").trim_matches('\n').to_owned()
}

/// What a `#[cfg_attr(..)]` hides from the macro, which cannot know whether its condition holds.
pub(crate) fn hidden(attr: &Attribute) -> Option<Ident> {
    let Meta::List(list) = &attr.meta else {
        return None;
    };
    let attributes = list.tokens.clone().into_iter();
    attributes
        .filter(|_| attr.path().is_ident("cfg_attr"))
        .find_map(|token| match token {
            TokenTree::Ident(ident) if ident == "rpc" || ident == "cfg" => Some(ident),
            _ => None,
        })
}
