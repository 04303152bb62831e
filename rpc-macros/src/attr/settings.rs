//! The settings of a service, a method, an error and a variant of one. An unknown one is answered with the list of the known.

use proc_macro2::TokenStream;
use syn::{Attribute, Ident, LitStr};

use super::{
    list::{joined, settings},
    value::{bytes, code, deadline, package, priority, reported, wire_name},
};
use crate::{
    errors::Errors,
    model::{Settings, SettingsOfService},
};

/// The settings of `#[iroh_service(..)]`.
pub(crate) fn of_service(tokens: TokenStream, errors: &Errors) -> SettingsOfService {
    let mut out = SettingsOfService::default();
    for setting in settings(tokens, SERVICE_EXAMPLE, errors) {
        if setting.is("package") {
            out.package = package(&setting, errors);
        } else if setting.is("name") {
            out.name = wire_name(&setting, "Greeter", errors);
        } else if setting.is("file_descriptor_set") {
            out.file_descriptor_set = setting.expression("pb::FILE_DESCRIPTOR_SET", errors);
        } else {
            setting.unknown("setting of a service", SERVICE_KEYS, errors);
        }
    }
    out
}

/// The settings of the `#[rpc(..)]` attributes of a method.
pub(crate) fn of_method<'a>(
    attrs: impl Iterator<Item = &'a Attribute>,
    errors: &Errors,
) -> Settings {
    let mut out = Settings::default();
    let tokens = joined(attrs, METHOD_EXAMPLE, errors);
    for setting in settings(tokens, METHOD_EXAMPLE, errors) {
        if setting.is("name") {
            out.name = wire_name(&setting, "Greet", errors).map(|name| (name, setting.key));
        } else if setting.is("idempotent") {
            out.idempotent = setting.flag(errors);
        } else if setting.is("oneway") {
            out.oneway = setting.flag(errors).then_some(setting.key);
        } else if setting.is("deadline") {
            if let Some(text) = setting.text("5s", errors) {
                out.deadline = reported(&text, deadline(&text.value()), errors);
            }
        } else if setting.is("priority") {
            if let Some(text) = setting.text("high", errors) {
                out.priority = reported(&text, priority(&text), errors);
            }
        } else if setting.is("max_message") {
            if let Some(text) = setting.text("1MiB", errors) {
                out.max_message_bytes = reported(&text, bytes(&text.value()), errors);
            }
        } else {
            setting.unknown("setting of a method", METHOD_KEYS, errors);
        }
    }
    out
}

/// The settings of the `#[rpc(..)]` attributes of an error enum: its package.
pub(crate) fn of_error<'a>(
    attrs: impl Iterator<Item = &'a Attribute>,
    errors: &Errors,
) -> Option<String> {
    let mut out = None;
    let tokens = joined(attrs, ERROR_EXAMPLE, errors);
    for setting in settings(tokens, ERROR_EXAMPLE, errors) {
        if setting.is("package") {
            out = package(&setting, errors);
        } else {
            setting.unknown("setting of an error", ERROR_KEYS, errors);
        }
    }
    out
}

/// What the `#[rpc(..)]` attributes of a variant of an error say.
#[derive(Default)]
pub(crate) struct SettingsOfVariant {
    /// The variant of `Code`.
    pub(crate) code: Option<Ident>,
    pub(crate) message: Option<LitStr>,
    /// Where it is said that the variant holds a status.
    pub(crate) status: Option<Ident>,
}

/// The settings of the `#[rpc(..)]` attributes of a variant of an error.
pub(crate) fn of_variant<'a>(
    attrs: impl Iterator<Item = &'a Attribute>,
    errors: &Errors,
) -> SettingsOfVariant {
    let mut out = SettingsOfVariant::default();
    let tokens = joined(attrs, VARIANT_EXAMPLE, errors);
    for setting in settings(tokens, VARIANT_EXAMPLE, errors) {
        if setting.is("code") {
            if let Some(text) = setting.text("NOT_FOUND", errors) {
                out.code = reported(&text, code(&text), errors);
            }
        } else if setting.is("message") {
            out.message = setting.text("no account {id}", errors);
        } else if setting.is("status") {
            out.status = setting.flag(errors).then_some(setting.key);
        } else {
            setting.unknown("setting of a variant", VARIANT_KEYS, errors);
        }
    }
    out
}

const SERVICE_KEYS: &[&str] = &["package", "name", "file_descriptor_set"];

const SERVICE_EXAMPLE: &str = r#"package = "demo.v1", name = "Greeter""#;

const METHOD_KEYS: &[&str] = &[
    "name",
    "idempotent",
    "oneway",
    "deadline",
    "priority",
    "max_message",
];

const METHOD_EXAMPLE: &str = r#"idempotent, deadline = "5s""#;

const ERROR_KEYS: &[&str] = &["package"];

const ERROR_EXAMPLE: &str = r#"package = "bank.v1""#;

const VARIANT_KEYS: &[&str] = &["code", "message", "status"];

const VARIANT_EXAMPLE: &str = r#"code = "NOT_FOUND", message = "no account {id}""#;
