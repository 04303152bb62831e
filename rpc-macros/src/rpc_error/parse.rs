//! From syntax to the model. Each mistake is reported once, on the smallest span, with what to write instead.

use syn::{Attribute, Data, DataEnum, DeriveInput, Fields, Ident, LitStr, Type, ext::IdentExt};

use super::model::{Field, Payload, RpcError, Variant};
use crate::{
    attr::{self, SettingsOfVariant},
    errors::Errors,
    name::mistake,
};

/// Reads an error enum; `None` if there is no sense in going on.
pub(super) fn rpc_error(input: &DeriveInput, errors: &Errors) -> Option<RpcError> {
    let package = attr::of_error(of_name(&input.attrs, "rpc"), errors);
    if !input.generics.params.is_empty() {
        errors.at(
            &input.generics.params,
            "an error that is sent cannot be generic: write the types",
        );
    }
    let Data::Enum(data) = &input.data else {
        errors.at(
            &input.ident,
            format_args!("`#[derive(RpcError)]` goes on an enum with a variant for each way to fail: write `enum {} {{ .., #[rpc(status)] Other(Status) }}`", input.ident),
        );
        return None;
    };
    refuse_name(&input.ident, errors);
    let mut variants = Vec::new();
    let mut foreign: Option<Ident> = None;
    for variant in &data.variants {
        let settings = attr::of_variant(of_name(&variant.attrs, "rpc"), errors);
        for field in &variant.fields {
            for attr in of_name(&field.attrs, "rpc") {
                errors.at(
                    attr,
                    "a field has no `#[rpc(..)]`: it goes on the variant, and a field's number is `#[tag(1)]`",
                );
            }
        }
        match &settings.status {
            None => variants.extend(way(variant, settings, errors)),
            Some(key) if foreign.is_some() => errors.at(
                key,
                "one variant takes every other status: remove this `status`, or the first",
            ),
            Some(_) => {
                status(variant, &settings, errors);
                foreign = Some(variant.ident.clone());
            }
        }
    }
    if foreign.is_none() {
        errors.at(
            &input.ident,
            "calls also fail for reasons that are not here, such as a broken connection: add a variant for them, `#[rpc(status)] Other(Status)`",
        );
    }
    let name = format!("{}Detail", input.ident.unraw());
    Some(RpcError {
        ident: input.ident.clone(),
        attrs: ["doc", "reserved"]
            .iter()
            .flat_map(|name| of_name(&input.attrs, name))
            .cloned()
            .collect(),
        type_url: match &package {
            Some(package) => format!("type.googleapis.com/{package}.{name}"),
            None => format!("type.googleapis.com/{name}"),
        },
        package: package.unwrap_or_default(),
        displayed: displayed(data, &variants, errors),
        variants,
        foreign: foreign?,
    })
}

/// The detail, a message, has the names of the enum, its variants and their fields.
fn refuse_name(ident: &Ident, errors: &Errors) {
    if let Some(message) = mistake(ident, &ident.unraw().to_string(), None) {
        errors.at(ident, message);
    }
}

fn of_name<'a>(attrs: &'a [Attribute], name: &'a str) -> impl Iterator<Item = &'a Attribute> {
    attrs.iter().filter(move |attr| attr.path().is_ident(name))
}

/// Attributes that go to the detail.
fn carried(attrs: &[Attribute]) -> Vec<Attribute> {
    attrs
        .iter()
        .filter(|attr| {
            ["doc", "tag", "prost", "cfg", "reserved", "deprecated"]
                .iter()
                .any(|name| attr.path().is_ident(name))
        })
        .cloned()
        .collect()
}

/// A variant that is sent as a detail.
fn way(variant: &syn::Variant, settings: SettingsOfVariant, errors: &Errors) -> Option<Variant> {
    refuse_name(&variant.ident, errors);
    for ident in variant
        .fields
        .iter()
        .filter_map(|field| field.ident.as_ref())
    {
        refuse_name(ident, errors);
    }
    let payload = match &variant.fields {
        Fields::Unit => Payload::Nothing,
        Fields::Named(fields) => Payload::Fields(
            fields
                .named
                .iter()
                .filter_map(|field| {
                    Some(Field {
                        attrs: carried(&field.attrs),
                        ident: field.ident.clone()?,
                        ty: field.ty.clone(),
                    })
                })
                .collect(),
        ),
        Fields::Unnamed(fields) => match &fields.unnamed.iter().collect::<Vec<_>>()[..] {
            [field] => Payload::Value {
                attrs: carried(&field.attrs),
                ty: Box::new(field.ty.clone()),
            },
            _ => {
                errors.at(
                    &variant.fields,
                    format_args!(
                        "a variant holds nothing, one value, or fields with names: write `{} {{ name: Type }}`",
                        variant.ident
                    ),
                );
                return None;
            }
        },
    };
    Some(Variant {
        ident: variant.ident.clone(),
        cfgs: of_name(&variant.attrs, "cfg").cloned().collect(),
        attrs: carried(&variant.attrs),
        code: settings
            .code
            .unwrap_or_else(|| Ident::new("Unknown", variant.ident.span())),
        message: settings.message,
        payload,
    })
}

/// The variant that takes every other status.
fn status(variant: &syn::Variant, settings: &SettingsOfVariant, errors: &Errors) {
    let holds_status = match &variant.fields {
        Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
            matches!(&fields.unnamed[0].ty, Type::Path(path)
                if path.path.segments.last().is_some_and(|last| last.ident == "Status"))
        }
        _ => false,
    };
    if !holds_status {
        let message = format!(
            "this variant holds the status that came: write `{}(Status)`",
            variant.ident
        );
        match &variant.fields {
            Fields::Unit => errors.at(&variant.ident, message),
            fields => errors.at(fields, message),
        }
    }
    let beside = "the status that this variant holds says it: remove this";
    if let Some(code) = &settings.code {
        errors.at(code, beside);
    }
    if let Some(message) = &settings.message {
        errors.at(message, beside);
    }
    for attr in of_name(&variant.attrs, "tag") {
        errors.at(attr, "this variant is not sent as a detail: remove the tag");
    }
}

/// Whether the variants say what `Display` prints: all of them, or none.
fn displayed(data: &DataEnum, variants: &[Variant], errors: &Errors) -> bool {
    let displayed = variants.iter().any(|variant| variant.message.is_some());
    if displayed && variants.len() + 1 >= data.variants.len() {
        for variant in variants.iter().filter(|variant| variant.message.is_none()) {
            errors.at(
                &variant.ident,
                format_args!(
                    "`{}` has no message, others have: write `#[rpc(message = \"..\")]` on every variant, or on none and implement `Display`",
                    variant.ident
                ),
            );
        }
    }
    displayed
}

/// The message of `Variant(T)`, where `{0}` is the value, with `{value}` in its place.
pub(super) fn with_named_value(message: &LitStr) -> LitStr {
    let text = message.value();
    let mut out = String::with_capacity(text.len() + 8);
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        out.push('{');
        rest = after;
        if let Some(after) = rest.strip_prefix('{') {
            out.push('{');
            rest = after;
        } else if rest.starts_with("0}") || rest.starts_with("0:") {
            out.push_str("value");
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    LitStr::new(&out, message.span())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_of_a_message_is_named() {
        let check = |before: &str, after: &str| {
            let before = LitStr::new(before, proc_macro2::Span::call_site());
            assert_eq!(with_named_value(&before).value(), after);
        };
        check("none", "none");
        check("a {0} b {0:?} c", "a {value} b {value:?} c");
        check("{{0}} {1} {x} {{{0}}}", "{{0}} {1} {x} {{{value}}}");
        check("open {", "open {");
    }
}
