//! Reads attributes: the settings of a service and of a method, tags, doc comments. An unknown setting is answered with the list
//! of the known ones. Nothing here knows what a setting is for.

use std::{fmt::Display, time::Duration};

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{
    Attribute, Expr, ExprLit, Ident, Lit, LitStr, Meta, MetaNameValue, Token,
    ext::IdentExt,
    parse::{ParseStream, Parser},
};

use crate::{
    errors::Errors,
    model::{Settings, SettingsOfService},
};

/// One setting: `key` or `key = value`.
pub(crate) struct Setting {
    pub(crate) key: Ident,
    value: Option<TokenStream>,
}

/// Reads `key, key = value, ..`; what is not such a list is reported, and the rest of it is still read.
pub(crate) fn settings(tokens: TokenStream, example: &str, errors: &Errors) -> Vec<Setting> {
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
        let value: Option<TokenTree> = input.parse()?;
        Some(value.into_token_stream())
    } else {
        None
    };
    Ok(Setting { key, value })
}

fn until_comma(input: ParseStream) -> syn::Result<TokenStream> {
    let mut rest = TokenStream::new();
    while !input.is_empty() && !input.peek(Token![,]) {
        rest.extend([input.parse::<TokenTree>()?]);
    }
    input.parse::<Option<Token![,]>>()?;
    Ok(rest)
}

impl Setting {
    fn is(&self, key: &str) -> bool {
        self.key == key
    }

    /// The value of a setting that is a string.
    fn text(&self, example: &str, errors: &Errors) -> Option<LitStr> {
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

    /// A setting that has no value.
    fn flag(&self, errors: &Errors) -> bool {
        if let Some(value) = &self.value {
            errors.at(
                value,
                format_args!("`{}` takes no value: write it alone", self.key),
            );
        }
        true
    }

    fn unknown(&self, what: &str, known: &[&str], errors: &Errors) {
        errors.at(&self.key, unknown(what, &self.key, known));
    }
}

/// What to say of a name that is none of the known ones.
pub(crate) fn unknown(what: &str, name: &impl Display, known: &[&str]) -> String {
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

/// The settings of `#[iroh_service(..)]`.
pub(crate) fn of_service(tokens: TokenStream, errors: &Errors) -> SettingsOfService {
    let mut out = SettingsOfService::default();
    for setting in settings(tokens, SERVICE_EXAMPLE, errors) {
        if setting.is("package") {
            out.package = package(&setting, errors);
        } else if setting.is("name") {
            out.name = wire_name(&setting, "Greeter", errors);
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

fn code(text: &LitStr) -> Result<Ident, String> {
    let name = text.value();
    match name.as_str() {
        "OK" => Err("an error is not OK: name the code of the failure, like \"NOT_FOUND\"".into()),
        name if CODES.contains(&name) => {
            let variant = name
                .split('_')
                .map(|word| word[..1].to_owned() + &word[1..].to_lowercase())
                .collect::<String>();
            Ok(Ident::new(&variant, text.span()))
        }
        name => Err(unknown("code", &name, CODES)),
    }
}

/// What is said in several attributes of one name, as if in one.
fn joined<'a>(
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

/// The value of `package = ".."`.
fn package(setting: &Setting, errors: &Errors) -> Option<String> {
    let text = setting.text("demo.v1", errors)?;
    if text.value().split('.').all(is_proto_name) {
        return Some(text.value());
    }
    errors.at(text, "not a protobuf package: write names joined by dots, each of ASCII letters, digits and `_` and not beginning with a digit, like \"demo.v1\"");
    None
}

fn reported<T>(text: &LitStr, value: Result<T, String>, errors: &Errors) -> Option<T> {
    value.map_err(|message| errors.at(text, message)).ok()
}

fn wire_name(setting: &Setting, example: &str, errors: &Errors) -> Option<String> {
    let text = setting.text(example, errors)?;
    if is_proto_name(&text.value()) {
        Some(text.value())
    } else {
        errors.at(
            text,
            format_args!("not a protobuf name: write ASCII letters, digits and `_`, not beginning with a digit, like \"{example}\""),
        );
        None
    }
}

fn is_proto_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A number and the unit behind it.
fn quantity(text: &str) -> Option<(u64, &str)> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim_start()))
}

fn deadline(text: &str) -> Result<Duration, String> {
    let form =
        "write a whole number and its unit, `us`, `ms`, `s`, `m` or `h`, like \"5s\" or \"250ms\"";
    let duration = quantity(text).and_then(|(number, unit)| {
        Some(match unit {
            "us" => Duration::from_micros(number),
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(number.checked_mul(60)?),
            "h" => Duration::from_secs(number.checked_mul(3600)?),
            _ => return None,
        })
    });
    match duration {
        None => Err(format!("not a deadline: {form}")),
        Some(Duration::ZERO) => Err(
            "a deadline of nothing would fail every call: write how long a call may take".into(),
        ),
        Some(duration) if duration > MAX_DEADLINE => {
            Err("longer than a year: leave the deadline out if calls may take for ever".into())
        }
        Some(duration) => Ok(duration),
    }
}

fn priority(text: &LitStr) -> Result<Ident, String> {
    let variant = match text.value().as_str() {
        "bulk" => "Bulk",
        "normal" => "Normal",
        "high" => "High",
        "critical" => "Critical",
        other => return Err(unknown("priority", &other, PRIORITIES)),
    };
    Ok(Ident::new(variant, proc_macro2::Span::call_site()))
}

fn bytes(text: &str) -> Result<usize, String> {
    let bytes = quantity(text).and_then(|(number, unit)| {
        let unit = match unit {
            "B" | "" => 1,
            "KiB" => 1024,
            "MiB" => 1024 * 1024,
            _ => return None,
        };
        number.checked_mul(unit)
    });
    match bytes {
        None => Err(
            "not a size: write a whole number and its unit, `B`, `KiB` or `MiB`, like \"64KiB\""
                .into(),
        ),
        Some(0) => Err("a limit of nothing would refuse every message: write how many bytes a message may have".into()),
        Some(bytes) if bytes > MAX_MESSAGE_BYTES => Err(format!(
            "more than a message can have: at most {} MiB; send more as a stream",
            MAX_MESSAGE_BYTES / 1024 / 1024
        )),
        Some(bytes) => usize::try_from(bytes).map_err(|error| error.to_string()),
    }
}

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

/// Whether one of the attributes has this name.
pub(crate) fn has(attrs: &[Attribute], name: &str) -> bool {
    attrs.iter().any(|attr| attr.path().is_ident(name))
}

const SERVICE_KEYS: &[&str] = &["package", "name"];
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
const CODES: &[&str] = &[
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];
const PRIORITIES: &[&str] = &["bulk", "normal", "high", "critical"];

/// The longest deadline that can be written: a year.
const MAX_DEADLINE: Duration = Duration::from_secs(365 * 24 * 3600);

/// What a transport carries at most in one message.
const MAX_MESSAGE_BYTES: u64 = 10 * 1024 * 1024;
