//! From the trait as it was typed to a [`Service`]: what is said of the trait itself. Methods are read in `method`.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{GenericParam, TypeParamBound, ext::IdentExt};

use crate::{
    attr,
    errors::Errors,
    model::{self, Input, Item, Service},
    name::mistake,
};

/// Reads a service. What is refused is reported and left out.
pub(crate) fn service(input: &Input, settings: TokenStream, errors: &Errors) -> Service {
    let before = errors.len();
    let settings = attr::of_service(settings, errors);
    let rust_name = input.ident.unraw().to_string();
    // A name that was set and refused is not followed by a second report.
    let derived = settings.name.is_none() && errors.len() == before;
    if derived && let Some(message) = mistake(&input.ident, &rust_name, Some(NAME_ATTRIBUTE)) {
        errors.at(&input.ident, message);
    }
    head(input, errors);
    let methods = input
        .items
        .iter()
        .filter_map(|item| match item {
            Item::Method(raw) => super::method::method(raw, errors),
            Item::Other(tokens) => {
                other(tokens, errors);
                None
            }
            Item::Broken(_) => None,
        })
        .collect::<Vec<_>>();
    let name = settings.name.unwrap_or(rust_name);
    Service {
        attrs: input.attrs.clone(),
        docs: attr::docs(&input.attrs),
        vis: input.vis.clone(),
        ident: input.ident.clone(),
        full_name: match settings.package {
            Some(package) => format!("{package}.{name}"),
            None => name,
        },
        file_descriptor_set: settings.file_descriptor_set,
        methods,
    }
}

/// What is before the trait's braces.
fn head(input: &Input, errors: &Errors) {
    for attr in &input.attrs {
        if attr.path().is_ident("rpc") {
            errors.at(
                attr,
                "`#[rpc(..)]` goes on a method: what is said of the service goes into `#[iroh_service(..)]`",
            );
        }
    }
    if !input.modifiers.is_empty() {
        errors.at(
            &input.modifiers,
            format_args!("a service is a plain trait: remove `{}`", input.modifiers),
        );
    }
    if let Some(first) = input.generics.params.first() {
        let hint = match first {
            GenericParam::Lifetime(_) => "own what it holds",
            _ => "write the types that are sent, or declare one service for each",
        };
        errors.at(
            &input.generics.params,
            format_args!("a service cannot be generic, its name stands for one schema: {hint}"),
        );
    }
    if let Some(clause) = &input.generics.where_clause {
        errors.at(
            clause,
            "a service cannot have a where clause: put the bound where the trait is used",
        );
    }
    for bound in &input.supertraits {
        let implied = match bound {
            TypeParamBound::Lifetime(lifetime) => lifetime.ident == "static",
            TypeParamBound::Trait(bound) => bound
                .path
                .segments
                .last()
                .is_some_and(|last| last.ident == "Send" || last.ident == "Sync"),
            _ => false,
        };
        if !implied {
            errors.at(
                bound,
                format_args!(
                    "`{}` implements the trait too, and cannot have this bound: remove it, and write it where the trait is used (`Send`, `Sync` and `'static` are there already)",
                    model::client(&input.ident)
                ),
            );
        }
    }
}

/// An item that is no method.
fn other(tokens: &TokenStream, errors: &Errors) {
    let item = match syn::parse2::<syn::TraitItem>(tokens.clone()) {
        Ok(item) => item,
        Err(error) => return errors.push(error),
    };
    match item {
        syn::TraitItem::Type(item) => errors.at(
            item.to_token_stream(),
            format_args!(
                "a service has methods only, and `{}` would be another type on each side: write the type that is sent",
                item.ident
            ),
        ),
        syn::TraitItem::Const(item) => errors.at(
            item.to_token_stream(),
            "a service has methods only: declare the constant beside the trait",
        ),
        syn::TraitItem::Macro(item) => errors.at(
            item.to_token_stream(),
            "a service has methods only, and a macro is not expanded here: write its methods out",
        ),
        _ => errors.at(tokens, "a service has methods only, like `async fn greet(&self, name: String) -> Result<String>;`"),
    }
}

/// What sets the name of a service.
const NAME_ATTRIBUTE: &str = r#"#[iroh_service(name = "..")]"#;
