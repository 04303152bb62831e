//! What can be a name in protobuf, be it written or derived from one in Rust. How names are derived is said where they are.

use syn::{Ident, ext::IdentExt};

/// Whether protobuf takes this name of a service, a method, a message, a field or a value.
pub(crate) fn is_proto_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// What is wrong with `derived`, the name in protobuf that follows from `ident`. `attribute` is the one that sets another, if there is
/// one.
pub(crate) fn mistake(ident: &Ident, derived: &str, attribute: Option<&str>) -> Option<String> {
    if is_proto_name(derived) {
        return None;
    }
    let ident = ident.unraw();
    let what = if derived.is_empty() {
        format!("nothing of `{ident}` is left for its name in protobuf")
    } else {
        let what = if ident == derived {
            format!("`{ident}` cannot be a name in protobuf")
        } else {
            format!("`{ident}` would be `{derived}` in protobuf")
        };
        format!(
            "{what}, where names have ASCII letters, digits and `_`, and do not begin with a digit"
        )
    };
    Some(match attribute {
        Some(attribute) => format!("{what}: rename it, or write `{attribute}`"),
        None => format!("{what}: rename it"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ascii_and_begin_with_no_digit() {
        for (name, expected) in [
            ("Greet", true),
            ("_2", true),
            ("__", true),
            ("", false),
            ("2fa", false),
            ("Büro", false),
            ("a-b", false),
        ] {
            assert_eq!(is_proto_name(name), expected, "{name}");
        }
    }

    #[test]
    fn a_mistake_says_what_to_write() {
        let check = |ident: &str, derived, attribute, expected: Option<&str>| {
            let ident: Ident = syn::parse_str(ident).unwrap_or_else(|error| panic!("{error}"));
            let found = mistake(&ident, derived, attribute);
            assert_eq!(found.as_deref(), expected, "{ident}");
        };
        check("r#type", "type", None, None);
        check(
            "__",
            "",
            Some("#[it]"),
            Some("nothing of `__` is left for its name in protobuf: rename it, or write `#[it]`"),
        );
        check(
            "_2fa",
            "2fa",
            None,
            Some(
                "`_2fa` would be `2fa` in protobuf, where names have ASCII letters, digits and `_`, and do not begin with a digit: rename it",
            ),
        );
        check(
            "länge",
            "länge",
            None,
            Some(
                "`länge` cannot be a name in protobuf, where names have ASCII letters, digits and `_`, and do not begin with a digit: rename it",
            ),
        );
    }
}
