//! `#[reserved(3, 5..=7, "old_name")]`: the numbers and names of what was removed, which nobody may use again.

use syn::{
    Attribute, Error, Ident, Lit, LitInt, LitStr, Result, Token,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
};

use super::{
    errors::Errors,
    helper::find,
    model::{Field, Kind, MAX_TAG, Reserved, name, snake, value_name},
};
use crate::name::is_proto_name;

/// What a type reserves, checked against what it has.
pub(super) fn of_type(
    attrs: &[Attribute],
    proto_name: &str,
    within: bool,
    kind: &Kind,
    errors: &mut Errors,
) -> Reserved {
    match kind {
        Kind::Struct(fields) => of_fields(attrs, fields, errors),
        Kind::Oneof { variants, .. } => {
            let used = variants.iter().map(|variant| Used {
                number: i64::from(variant.tag),
                name: snake(&variant.ident),
                ident: &variant.ident,
            });
            read(attrs, 1..=i64::from(MAX_TAG), used, errors)
        }
        Kind::Enum { numbers, .. } => {
            let used = numbers.iter().map(|number| Used {
                number: i64::from(number.number),
                name: value_name(proto_name, within, &number.ident),
                ident: &number.ident,
            });
            let all = i64::from(i32::MIN)..=i64::from(i32::MAX);
            read(attrs, all, used, errors)
        }
    }
}

/// What is reserved beside these fields.
pub(super) fn of_fields(attrs: &[Attribute], fields: &[Field], errors: &mut Errors) -> Reserved {
    let used = fields.iter().map(|field| Used {
        number: i64::from(field.tag),
        name: name(&field.ident),
        ident: &field.ident,
    });
    read(attrs, 1..=i64::from(MAX_TAG), used, errors)
}

/// There is nothing here that could have been removed.
pub(super) fn refuse(attrs: &[Attribute], errors: &mut Errors) {
    if let Some(attribute) = find(attrs, "reserved") {
        errors.add_at(
            attribute,
            "`#[reserved(..)]` belongs before the struct or enum, or the variant with fields, from which something was removed",
        );
    }
}

/// What has a number and a name.
struct Used<'a> {
    number: i64,
    name: String,
    ident: &'a Ident,
}

fn read<'a>(
    attrs: &[Attribute],
    possible: std::ops::RangeInclusive<i64>,
    used: impl Iterator<Item = Used<'a>>,
    errors: &mut Errors,
) -> Reserved {
    let mut reserved = Reserved::default();
    for attribute in attrs.iter().filter(|it| it.path().is_ident("reserved")) {
        let items = match attribute.parse_args_with(Punctuated::<Item, Token![,]>::parse_terminated)
        {
            Ok(items) if items.is_empty() => {
                errors.add_at(attribute, format!("this reserves nothing: {FORM}"));
                continue;
            }
            Ok(items) => items,
            // Without parentheses there is nothing to point at but the attribute.
            Err(error) if attribute.meta.require_list().is_ok() => {
                errors.push(error);
                continue;
            }
            Err(_) => {
                errors.add_at(attribute, format!("this reserves nothing: {FORM}"));
                continue;
            }
        };
        for item in items {
            match item {
                Item::Numbers(first, last) => {
                    let ends = [first.number, last.number];
                    let span = &first.token;
                    if !ends.iter().all(|end| possible.contains(end)) {
                        let (least, most) = (possible.start(), possible.end());
                        errors.add_at(span, format!("there are numbers from {least} to {most}"));
                    } else if first.number > last.number {
                        errors.add_at(span, "the first number of a range is the smaller one");
                    } else if let [Ok(first), Ok(last)] = ends.map(i32::try_from) {
                        reserved.numbers.push((first, last));
                    }
                }
                Item::Name(text) if is_proto_name(&text.value()) => {
                    reserved.names.push(text.value());
                }
                Item::Name(text) => errors.add_at(
                    text,
                    "not a name in protobuf, and so nobody can have used it: names have ASCII letters, digits and `_`",
                ),
            }
        }
    }
    for Used {
        number,
        name,
        ident,
    } in used
    {
        let taken =
            |(first, last): &(i32, i32)| (i64::from(*first)..=i64::from(*last)).contains(&number);
        if reserved.numbers.iter().any(taken) {
            errors.add(
                ident.span(),
                format!("`{ident}` has the number {number}, which is reserved: older peers use it for something else; give it another"),
            );
        } else if reserved.names.contains(&name) {
            errors.add(
                ident.span(),
                format!("`{ident}` has the name `{name}`, which is reserved: older peers use it for something else; rename it"),
            );
        }
    }
    reserved
}

/// A part of the list.
enum Item {
    Numbers(Number, Number),
    Name(LitStr),
}

struct Number {
    number: i64,
    token: LitInt,
}

impl Parse for Item {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.peek(LitStr) {
            return input.parse().map(Self::Name);
        }
        let first = number(input)?;
        if input.parse::<Option<Token![..=]>>()?.is_some() {
            let last = number(input)?;
            return Ok(Self::Numbers(first, last));
        }
        if input.peek(Token![..]) {
            return Err(input.error("write a range with both of its ends, like `5..=7`"));
        }
        let last = Number {
            number: first.number,
            token: first.token.clone(),
        };
        Ok(Self::Numbers(first, last))
    }
}

fn number(input: ParseStream<'_>) -> Result<Number> {
    let minus = input.parse::<Option<Token![-]>>()?;
    let token = match input.parse::<Lit>() {
        Ok(Lit::Int(token)) => token,
        Ok(other) => return Err(Error::new(other.span(), FORM)),
        Err(error) => return Err(Error::new(error.span(), FORM)),
    };
    let number: i64 = token.base10_parse()?;
    Ok(Number {
        number: if minus.is_some() { -number } else { number },
        token,
    })
}

const FORM: &str = "write numbers, ranges and names, like `#[reserved(3, 5..=7, \"old_name\")]`";
