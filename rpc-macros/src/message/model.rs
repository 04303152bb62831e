//! A message as its macro has understood it. What cannot be expanded has no form here.

use syn::{Ident, Type};

/// A user's type.
pub(super) struct Message {
    pub(super) ident: Ident,
    pub(super) docs: String,
    /// The message that it is declared within in protobuf; an enum without data alone can be.
    pub(super) within: Option<Ident>,
    pub(super) kind: Kind,
}

/// What a user's type is made of.
pub(super) enum Kind {
    /// A struct.
    Struct(Vec<Field>),
    /// An enum with data.
    Oneof {
        variants: Vec<Variant>,
        /// The variant that stands for none of the others, and its place among all.
        unknown: Option<(Ident, usize)>,
    },
    /// An enum without data.
    Enum {
        numbers: Vec<Number>,
        /// The variant that keeps unknown numbers, and its place among all.
        unknown: (Ident, usize),
    },
}

/// A field of a struct or of a variant.
pub(super) struct Field {
    pub(super) ident: Ident,
    pub(super) docs: String,
    pub(super) tag: u32,
    pub(super) ty: Type,
    /// Whether prost generated the type.
    pub(super) prost: bool,
}

/// A variant of an enum with data.
pub(super) struct Variant {
    pub(super) ident: Ident,
    pub(super) docs: String,
    pub(super) tag: u32,
    pub(super) payload: Payload,
}

/// What a variant holds.
pub(super) enum Payload {
    Unit,
    Value { ty: Box<Type>, prost: bool },
    Fields(Vec<Field>),
}

/// A variant of an enum without data.
pub(super) struct Number {
    pub(super) ident: Ident,
    pub(super) docs: String,
    pub(super) number: i32,
}

/// The name in protobuf of something with this name in Rust: without `r#`.
pub(super) fn name(ident: &Ident) -> String {
    let name = ident.to_string();
    name.strip_prefix("r#").map(str::to_owned).unwrap_or(name)
}

/// `PutAll` becomes `put_all`, `HTTPServer` becomes `http_server`.
pub(super) fn snake(ident: &Ident) -> String {
    let chars: Vec<char> = name(ident).chars().collect();
    let mut out = String::new();
    for (at, &char) in chars.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| chars[at]);
        let after = chars.get(at + 1);
        let starts_word = char.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase()
                    || before.is_ascii_digit()
                    || (before.is_uppercase() && after.is_some_and(|after| after.is_lowercase()))
            });
        if starts_word {
            out.push('_');
        }
        out.extend(char.to_lowercase());
    }
    out
}

/// How the names of an enum's values begin. They share the scope of the enum's own name: that of the package, or of the message that
/// it is within.
pub(super) fn value_prefix(of: &Ident, is_within: bool) -> String {
    if is_within {
        String::new()
    } else {
        format!("{}_", snake(of).to_uppercase())
    }
}

#[cfg(test)]
mod tests {
    use proc_macro2::Span;

    use super::*;

    #[test]
    fn names_in_snake_case() {
        for (rust, proto) in [
            ("Put", "put"),
            ("PutAll", "put_all"),
            ("HTTPServer", "http_server"),
            ("Utf8Text", "utf8_text"),
            ("V2", "v2"),
            ("A", "a"),
            ("Already_snake", "already_snake"),
        ] {
            assert_eq!(snake(&Ident::new(rust, Span::call_site())), proto);
        }
    }
}
