//! A message as its macro has understood it. What cannot be expanded has no form here.

use syn::{Ident, Type};

/// A user's type.
pub(super) struct Message {
    pub(super) ident: Ident,
    /// The name in protobuf.
    pub(super) proto_name: String,
    pub(super) docs: String,
    /// The message that it is declared within in protobuf; an enum without data alone can be.
    pub(super) within: Option<Ident>,
    pub(super) reserved: Reserved,
    pub(super) deprecated: bool,
    pub(super) kind: Kind,
}

impl Message {
    /// Whether the type, or something of it, is deprecated.
    pub(super) fn has_deprecated(&self) -> bool {
        let any = |fields: &[Field]| fields.iter().any(|field| field.deprecated);
        self.deprecated
            || match &self.kind {
                Kind::Struct(fields) => any(fields),
                Kind::Oneof { variants, .. } => variants.iter().any(|variant| {
                    variant.deprecated
                        || matches!(&variant.payload, Payload::Fields { fields, .. } if any(fields))
                }),
                Kind::Enum { numbers, .. } => numbers.iter().any(|number| number.deprecated),
            }
    }
}

/// What must not be used again.
#[derive(Default)]
pub(super) struct Reserved {
    /// The first and the last of each range of numbers.
    pub(super) numbers: Vec<(i32, i32)>,
    pub(super) names: Vec<String>,
}

impl Reserved {
    pub(super) fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.names.is_empty()
    }
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
    pub(super) deprecated: bool,
}

/// A variant of an enum with data.
pub(super) struct Variant {
    pub(super) ident: Ident,
    pub(super) docs: String,
    pub(super) tag: u32,
    pub(super) payload: Payload,
    pub(super) deprecated: bool,
}

/// What a variant holds.
pub(super) enum Payload {
    Unit,
    Value {
        ty: Box<Type>,
        prost: bool,
    },
    Fields {
        fields: Vec<Field>,
        reserved: Reserved,
    },
}

/// A variant of an enum without data.
pub(super) struct Number {
    pub(super) ident: Ident,
    pub(super) docs: String,
    pub(super) number: i32,
    pub(super) deprecated: bool,
}

/// The name in protobuf of something with this name in Rust: without `r#`.
pub(super) fn name(ident: &Ident) -> String {
    let name = ident.to_string();
    name.strip_prefix("r#").map(str::to_owned).unwrap_or(name)
}

/// `PutAll` becomes `put_all`, `HTTPServer` becomes `http_server`.
pub(super) fn snake(ident: &Ident) -> String {
    snake_case(&name(ident))
}

pub(super) fn snake_case(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
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

/// The name in protobuf of a variant of an enum without data. It shares the scope of the enum's own name: in a package the enum's
/// comes before it, `STATE_RUNNING`; within a message it stands alone.
pub(super) fn value_name(of: &str, within: bool, variant: &Ident) -> String {
    let value = snake(variant).to_uppercase();
    if within {
        value
    } else {
        format!("{}_{value}", snake_case(of).to_uppercase())
    }
}

/// The largest number of a field.
pub(super) const MAX_TAG: u32 = (1 << 29) - 1;

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
