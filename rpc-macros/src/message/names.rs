//! The names of what one message or enum has: no two may be the same, nor those that follow from them: a field's in JSON, a value's
//! without the name of its enum. protoc refuses it, and so does whoever reads the `.proto` that is printed.

use syn::Ident;

use super::model::{snake_case, value_name};

/// The names so far.
#[derive(Default)]
pub(super) struct Names {
    taken: Vec<Taken>,
}

struct Taken {
    ident: Ident,
    name: String,
    /// What follows from the name.
    derived: String,
}

impl Names {
    /// Adds the field that has this name in protobuf; answers what is wrong with that.
    pub(super) fn field(&mut self, ident: &Ident, name: &str) -> Option<String> {
        let derived = json(name);
        self.add(ident, name.to_owned(), derived, "in protobuf's JSON form")
    }

    /// The same with a value of `of`, an enum.
    pub(super) fn value(&mut self, ident: &Ident, of: &str, is_within: bool) -> Option<String> {
        let name = value_name(of, is_within, ident);
        let derived = pascal(without_prefix(&name, of));
        self.add(ident, name, derived, "in protobuf without the enum's name")
    }

    fn add(&mut self, ident: &Ident, name: String, derived: String, how: &str) -> Option<String> {
        let alike = |other: &&Taken| other.derived == derived;
        let mistake = self.taken.iter().find(alike).map(|other| {
            let both = format!("`{}` and `{ident}` are both", other.ident);
            if other.name == name {
                format!("{both} `{name}` in protobuf: rename one")
            } else {
                format!("{both} `{derived}` {how}, which protoc refuses: rename one")
            }
        });
        self.taken.push(Taken {
            ident: ident.clone(),
            name,
            derived,
        });
        mistake
    }
}

/// A field's name in JSON: `foo_bar` is `fooBar`.
fn json(name: &str) -> String {
    let mut out = String::new();
    let mut upper = false;
    for char in name.chars() {
        if char == '_' {
            upper = true;
        } else if std::mem::take(&mut upper) {
            out.extend(char.to_uppercase());
        } else {
            out.push(char);
        }
    }
    out
}

/// A value's name as protoc compares it: `DARK_BLUE` is `DarkBlue`.
fn pascal(name: &str) -> String {
    json(&format!("_{}", name.to_lowercase()))
}

/// A value's name without that of its enum, whichever way that is written, and the underscores after it; unless nothing is left.
fn without_prefix<'a>(name: &'a str, of: &str) -> &'a str {
    let prefix = snake_case(of).replace('_', "");
    let mut prefix = prefix.chars();
    let mut expected = prefix.next();
    for (at, char) in name.char_indices() {
        match expected {
            None => {
                let rest = name[at..].trim_start_matches('_');
                return if rest.is_empty() { name } else { rest };
            }
            Some(_) if char == '_' => {}
            Some(next) if char.to_ascii_lowercase() == next => expected = prefix.next(),
            Some(_) => return name,
        }
    }
    name
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn fields_in_json() {
        for (name, expected) in [
            ("foo_bar", "fooBar"),
            ("fooBar", "fooBar"),
            ("foo__bar_", "fooBar"),
            ("_foo", "Foo"),
            ("foo_2", "foo2"),
        ] {
            assert_eq!(json(name), expected);
        }
    }

    #[test]
    fn values_without_the_name_of_their_enum() {
        for (name, expected) in [
            ("DEEP_COLOR_DARK_BLUE", "DarkBlue"),
            ("DEEPCOLOR_RED", "Red"),
            ("DEEP_COLOR", "DeepColor"),
            ("DEEP_COLOR_", "DeepColor"),
            ("DEEP_RED", "DeepRed"),
            ("RED", "Red"),
        ] {
            assert_eq!(
                pascal(without_prefix(name, "DeepColor")),
                expected,
                "{name}"
            );
        }
    }
}
