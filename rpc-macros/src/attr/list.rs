//! Reads lists of settings, `key, key = value, ..`, and says what of them is unknown. Nothing here knows what a setting is for.

use std::fmt::Display;

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{
    Attribute, Ident, Lit, LitStr, Meta, Token,
    ext::IdentExt,
    parse::{ParseStream, Parser},
};

use crate::errors::Errors;

/// One setting: `key` or `key = value`.
pub(super) struct Setting {
    pub(super) key: Ident,
    value: Option<TokenStream>,
}

impl Setting {
    pub(super) fn is(&self, key: &str) -> bool {
        self.key == key
    }

    /// The value of a setting that is a string.
    pub(super) fn text(&self, example: &str, errors: &Errors) -> Option<LitStr> {
        match &self.value {
            None => {
                errors.at(
                    &self.key,
                    format_args!(
                        "`{}` needs a value: write `{} = \"{example}\"`",
                        self.key, self.key
                    ),
                );
                None
            }
            Some(value) => match syn::parse2::<LitStr>(value.clone()) {
                Ok(text) => Some(text),
                Err(_) => {
                    errors.at(
                        value,
                        format_args!("expected a string: write `{} = \"{example}\"`", self.key),
                    );
                    None
                }
            },
        }
    }

    /// The value of a setting that is an expression.
    pub(super) fn expression(&self, example: &str, errors: &Errors) -> Option<TokenStream> {
        match &self.value {
            Some(value) if syn::parse2::<syn::Expr>(value.clone()).is_ok() => Some(value.clone()),
            Some(value) if !value.is_empty() => {
                errors.at(
                    value,
                    format_args!("expected an expression: write `{} = {example}`", self.key),
                );
                None
            }
            _ => {
                errors.at(
                    &self.key,
                    format_args!(
                        "`{}` needs a value: write `{} = {example}`",
                        self.key, self.key
                    ),
                );
                None
            }
        }
    }

    /// A setting that has no value.
    pub(super) fn flag(&self, errors: &Errors) -> bool {
        if let Some(value) = &self.value {
            errors.at(
                value,
                format_args!("`{}` takes no value: write it alone", self.key),
            );
        }
        true
    }

    pub(super) fn unknown(&self, what: &str, known: &[&str], errors: &Errors) {
        errors.at(&self.key, unknown(what, &self.key, known));
    }
}

/// Reads `key, key = value, ..`; what is not such a list is reported, and the rest of it is still read.
pub(super) fn settings(tokens: TokenStream, example: &str, errors: &Errors) -> Vec<Setting> {
    let parse = |input: ParseStream| -> syn::Result<Vec<Setting>> {
        let mut settings: Vec<Setting> = Vec::new();
        while !input.is_empty() {
            let setting = setting(input, example);
            let rest = until_comma(input)?;
            match setting {
                Err(error) => errors.push(error),
                Ok(_) if !rest.is_empty() => errors.at(
                    rest,
                    format_args!("expected `,`: settings are written like `{example}`"),
                ),
                Ok(setting) => {
                    if settings.iter().any(|other| other.key == setting.key) {
                        errors.at(
                            &setting.key,
                            format_args!("`{}` is set twice: keep one", setting.key),
                        );
                    } else {
                        settings.push(setting);
                    }
                }
            }
        }
        Ok(settings)
    };
    parse.parse2(tokens).unwrap_or_else(|error| {
        errors.push(error);
        Vec::new()
    })
}

fn setting(input: ParseStream, example: &str) -> syn::Result<Setting> {
    if !input.peek(Ident::peek_any) {
        let message = format!("expected the name of a setting, as in `{example}`");
        return Err(syn::Error::new(input.span(), message));
    }
    let key = Ident::parse_any(input)?;
    let value = if input.parse::<Option<Token![=]>>()?.is_some() {
        // A literal is all of it, so that a comma that is missing behind it is found.
        let value = if input.peek(Lit) {
            input.parse::<TokenTree>()?.into_token_stream()
        } else {
            until(input, |input| input.peek(Token![,]))?
        };
        Some(value)
    } else {
        None
    };
    Ok(Setting { key, value })
}

fn until_comma(input: ParseStream) -> syn::Result<TokenStream> {
    let rest = until(input, |input| input.peek(Token![,]))?;
    input.parse::<Option<Token![,]>>()?;
    Ok(rest)
}

fn until(input: ParseStream, end: impl Fn(ParseStream) -> bool) -> syn::Result<TokenStream> {
    let mut tokens = TokenStream::new();
    while !input.is_empty() && !end(input) {
        tokens.extend([input.parse::<TokenTree>()?]);
    }
    Ok(tokens)
}

/// What is said in several attributes of one name, as if in one.
pub(super) fn joined<'a>(
    attrs: impl Iterator<Item = &'a Attribute>,
    example: &str,
    errors: &Errors,
) -> TokenStream {
    let mut tokens = TokenStream::new();
    for attr in attrs {
        match &attr.meta {
            Meta::List(list) if !list.tokens.is_empty() => {
                if !tokens.is_empty() {
                    Token![,](list.delimiter.span().open()).to_tokens(&mut tokens);
                }
                tokens.extend(list.tokens.clone());
            }
            _ => errors.at(
                attr,
                format_args!("this says nothing: write it like `#[rpc({example})]`, or remove it"),
            ),
        }
    }
    tokens
}

/// What to say of a name that is none of the known ones.
pub(super) fn unknown(what: &str, name: &impl Display, known: &[&str]) -> String {
    let name = name.to_string();
    let meant = known
        .iter()
        .map(|known| (distance(&name, known), known))
        .filter(|(distance, known)| *distance <= 1 + known.len() / 4)
        .min();
    let list = known
        .iter()
        .map(|known| format!("`{known}`"))
        .collect::<Vec<_>>()
        .join(", ");
    let are = if known.len() == 1 { "is" } else { "are" };
    match meant {
        Some((_, meant)) => {
            format!("unknown {what} `{name}`: did you mean `{meant}`? Known {are} {list}")
        }
        None => format!("unknown {what} `{name}`: known {are} {list}"),
    }
}

/// The Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in b.chars().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_close_is_meant() {
        let known = &["deadline", "name", "idempotent"][..];
        let check = |name: &str, meant: Option<&str>| {
            let message = unknown("setting", &name, known);
            let expected = meant.map_or_else(
                || format!("unknown setting `{name}`: known are"),
                |meant| format!("unknown setting `{name}`: did you mean `{meant}`? Known are"),
            );
            assert!(message.starts_with(&expected), "{message}");
        };
        check("deadlin", Some("deadline"));
        check("daedline", Some("deadline"));
        check("nam", Some("name"));
        check("idempotence", Some("idempotent"));
        check("priority", None);
        check("", None);
    }
}
