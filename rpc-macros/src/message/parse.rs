//! From syntax to the model. Every mistake is reported, on the smallest span, with what would be right.

use proc_macro2::Span;
use syn::{
    Attribute, Data, DeriveInput, Error, Expr, ExprLit, ExprUnary, Fields, Ident, Lit, LitInt,
    LitStr, Meta, Result, Type, UnOp, Variant as SynVariant, spanned::Spanned,
};

use super::{
    errors::Errors,
    helper::{find, flag},
    model::{Field, Kind, MAX_TAG, Message, Number, Payload, Reserved, Variant, name, snake},
    names::Names,
    reserved,
    types::Container,
};
use crate::name::{is_proto_name, mistake};

/// Understands a type, or says all that is wrong with it.
pub(super) fn parse(input: &DeriveInput) -> Result<Message> {
    let mut errors = Errors(None);
    if !input.generics.params.is_empty() {
        errors.add_at(
            &input.generics.params,
            "a message cannot be generic: it has one schema; write a type for each use",
        );
    }
    let proto_name = proto_name_of(input, &mut errors);
    refuse_tag_and_unknown(&input.attrs, "a type", &mut errors);
    let kind = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => fields_of(fields.named.iter(), &mut errors).map(Kind::Struct),
            Fields::Unit => Some(Kind::Struct(Vec::new())),
            Fields::Unnamed(fields) => {
                errors.add_at(fields,
                    "a message needs names for its fields, since its schema has them: write `struct Name { field: Type }`",
                );
                None
            }
        },
        Data::Enum(data) => enum_of(
            input,
            &proto_name,
            data.variants.iter().collect(),
            &mut errors,
        ),
        Data::Union(data) => {
            errors.add(
                data.union_token.span,
                "a union cannot be a message: write an enum",
            );
            None
        }
    };
    let within = within_of(input, kind.as_ref(), &mut errors);
    let reserved = match &kind {
        Some(kind) => reserved::of_type(
            &input.attrs,
            &proto_name,
            within.is_some(),
            kind,
            &mut errors,
        ),
        None => Reserved::default(),
    };
    errors.finish()?;
    // Without an error there is a kind.
    let kind = kind.ok_or_else(|| Error::new(input.ident.span(), "cannot be a message"))?;
    Ok(Message {
        ident: input.ident.clone(),
        proto_name,
        docs: docs(&input.attrs),
        within,
        reserved,
        deprecated: is_deprecated(&input.attrs),
        kind,
    })
}

/// The name in protobuf: that of the type, or what `#[proto_name("..")]` says.
fn proto_name_of(input: &DeriveInput, errors: &mut Errors) -> String {
    let own = name(&input.ident);
    let Some(attribute) = find(&input.attrs, "proto_name") else {
        refuse_name(&input.ident, errors);
        return own;
    };
    match attribute.parse_args::<LitStr>() {
        Ok(text) if is_proto_name(&text.value()) => text.value(),
        Ok(text) => {
            errors.add_at(
                text,
                "not a name in protobuf, where names have ASCII letters, digits and `_`, and do not begin with a digit",
            );
            own
        }
        Err(_) => {
            errors.add_at(
                attribute,
                format!("a name is a string: write `#[proto_name(\"{own}\")]`"),
            );
            own
        }
    }
}

/// The message that the type is declared within.
fn within_of(input: &DeriveInput, kind: Option<&Kind>, errors: &mut Errors) -> Option<Ident> {
    let attribute = find(&input.attrs, "within")?;
    if matches!(kind, Some(Kind::Struct(_) | Kind::Oneof { .. })) {
        errors.add_at(
            attribute,
            "only an enum without data can be declared within a message: remove this attribute",
        );
    }
    match attribute.parse_args::<Ident>() {
        Ok(outer) => Some(outer),
        Err(_) => {
            errors.add_at(
                attribute,
                "an enum is declared within one message of its package: write its name, `#[within(Message)]`",
            );
            None
        }
    }
}

fn fields_of<'a>(
    fields: impl Iterator<Item = &'a syn::Field>,
    errors: &mut Errors,
) -> Option<Vec<Field>> {
    let (mut tags, mut names) = (Tags::default(), Names::default());
    fields
        .map(|field| {
            let ident = field.ident.clone()?;
            refuse_name(&ident, errors);
            errors.add_any(ident.span(), names.field(&ident, &name(&ident)));
            refuse_serde(&field.attrs, errors);
            refuse_unknown(&field.attrs, errors);
            reserved::refuse(&field.attrs, errors);
            refuse_proto_name(&field.attrs, errors);
            let prost = type_of(field, errors);
            let tag = tags.next(&field.attrs, &name(&ident), ident.span(), errors);
            Some(Field {
                ident,
                docs: docs(&field.attrs),
                tag,
                ty: field.ty.clone(),
                prost,
                deprecated: is_deprecated(&field.attrs),
            })
        })
        .collect()
}

fn enum_of(
    input: &DeriveInput,
    proto_name: &str,
    variants: Vec<&SynVariant>,
    errors: &mut Errors,
) -> Option<Kind> {
    let mut unknown: Option<(&SynVariant, usize)> = None;
    for (place, variant) in variants.iter().enumerate() {
        refuse_serde(&variant.attrs, errors);
        if let Some(attribute) = flag(&variant.attrs, "unknown", errors)
            && unknown.replace((variant, place)).is_some()
        {
            errors.add_at(
                attribute,
                "only one variant can be the one for what is unknown",
            );
        }
    }
    let is_unknown =
        |variant: &SynVariant| unknown.is_some_and(|(unknown, _)| unknown.ident == variant.ident);
    let known: Vec<_> = variants
        .into_iter()
        .filter(|variant| !is_unknown(variant))
        .collect();
    // The unknown one has no name in protobuf.
    for variant in &known {
        refuse_name(&variant.ident, errors);
        refuse_proto_name(&variant.attrs, errors);
    }
    if known
        .iter()
        .all(|variant| matches!(variant.fields, Fields::Unit))
    {
        numbers_of(input, proto_name, &known, unknown, errors)
    } else {
        oneof_of(&known, unknown, errors)
    }
}

/// An enum without data.
fn numbers_of(
    input: &DeriveInput,
    proto_name: &str,
    known: &[&SynVariant],
    unknown: Option<(&SynVariant, usize)>,
    errors: &mut Errors,
) -> Option<Kind> {
    let mut numbers: Vec<Number> = Vec::new();
    let mut names = Names::default();
    let is_within = find(&input.attrs, "within").is_some();
    let mut next = 0_i32;
    for variant in known {
        let alike = names.value(&variant.ident, proto_name, is_within);
        errors.add_any(variant.ident.span(), alike);
        reserved::refuse(&variant.attrs, errors);
        if let Some(attribute) = find(&variant.attrs, "tag") {
            errors.add_at(
                attribute,
                format!(
                    "variants without data are numbered as Rust does it: write `{} = 1`",
                    variant.ident
                ),
            );
        }
        let number = match &variant.discriminant {
            None => next,
            Some((_, number)) => match literal(number) {
                Some(number) => number,
                None => {
                    errors.add_at(
                        number,
                        "a message needs a literal number here, from -2147483648 to 2147483647",
                    );
                    next
                }
            },
        };
        if let Some(other) = numbers.iter().find(|other| other.number == number) {
            errors.add(
                variant
                    .discriminant
                    .as_ref()
                    .map_or_else(|| variant.ident.span(), |(_, number)| number.span()),
                format!("`{}` has the number {number} already", other.ident),
            );
        }
        next = number.wrapping_add(1);
        numbers.push(Number {
            ident: variant.ident.clone(),
            docs: docs(&variant.attrs),
            number,
            deprecated: is_deprecated(&variant.attrs),
        });
    }
    if !numbers.iter().any(|number| number.number == 0) {
        errors.add(
            input.ident.span(),
            "no variant has the number 0, which a field holds that was not sent: add one, such as `Unspecified = 0`",
        );
    }
    let Some((unknown, place)) = unknown else {
        errors.add(
            input.ident.span(),
            "a newer peer may send numbers that are not known here: add a variant that keeps them, such as `#[unknown] Other(i32)`",
        );
        return None;
    };
    let holds_number = match &unknown.fields {
        Fields::Unnamed(fields) => {
            fields.unnamed.len() == 1
                && matches!(&fields.unnamed[0].ty, Type::Path(path) if path.path.is_ident("i32"))
        }
        _ => false,
    };
    if !holds_number {
        errors.add(
            unknown.ident.span(),
            format!(
                "in an enum without data this variant keeps the unknown number: write `{}(i32)`",
                unknown.ident
            ),
        );
    }
    Some(Kind::Enum {
        numbers,
        unknown: (unknown.ident.clone(), place),
    })
}

/// An enum with data.
fn oneof_of(
    known: &[&SynVariant],
    unknown: Option<(&SynVariant, usize)>,
    errors: &mut Errors,
) -> Option<Kind> {
    if let Some((unknown, _)) = unknown
        && !matches!(unknown.fields, Fields::Unit)
    {
        errors.add(
            unknown.ident.span(),
            format!(
                "in an enum with data this variant stands for none of the others: write `{}` without data",
                unknown.ident
            ),
        );
    }
    let (mut tags, mut names) = (Tags::default(), Names::default());
    let mut variants = Vec::new();
    for variant in known {
        let alike = names.field(&variant.ident, &snake(&variant.ident));
        errors.add_any(variant.ident.span(), alike);
        if let Some((_, number)) = &variant.discriminant {
            errors.add_at(
                number,
                "a variant of an enum with data is numbered by `#[tag(n)]`",
            );
        }
        let tag = tags.next(
            &variant.attrs,
            &variant.ident.to_string(),
            variant.ident.span(),
            errors,
        );
        let payload = match &variant.fields {
            Fields::Unit => Payload::Unit,
            Fields::Named(fields) => match fields_of(fields.named.iter(), errors) {
                Some(fields) => Payload::Fields {
                    reserved: reserved::of_fields(&variant.attrs, &fields, errors),
                    fields,
                },
                None => continue,
            },
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
                let field = &fields.unnamed[0];
                refuse_serde(&field.attrs, errors);
                refuse_tag_and_unknown(&field.attrs, "the value of a variant", errors);
                let prost = type_of(field, errors);
                if let Some(container) = Container::of(&field.ty).filter(|_| !prost) {
                    errors.add_at(
                        &field.ty,
                        format!(
                            "a variant holds one value, which `{}` is not: make it a field, `{} {{ name: Type }}`",
                            container.ident, variant.ident
                        ),
                    );
                }
                Payload::Value {
                    ty: Box::new(field.ty.clone()),
                    prost,
                }
            }
            Fields::Unnamed(fields) => {
                errors.add_at(fields,
                    format!(
                        "a variant holds one value or fields with names: write `{} {{ field: Type }}`",
                        variant.ident
                    ),
                );
                continue;
            }
        };
        if !matches!(payload, Payload::Fields { .. }) {
            reserved::refuse(&variant.attrs, errors);
        }
        variants.push(Variant {
            ident: variant.ident.clone(),
            docs: docs(&variant.attrs),
            tag,
            payload,
            deprecated: is_deprecated(&variant.attrs),
        });
    }
    Some(Kind::Oneof {
        variants,
        unknown: unknown.map(|(unknown, place)| (unknown.ident.clone(), place)),
    })
}

/// The tags of one message, explicit or one more than the last.
#[derive(Default)]
struct Tags {
    last: u32,
    taken: Vec<(u32, String)>,
}

impl Tags {
    fn next(&mut self, attrs: &[Attribute], name: &str, span: Span, errors: &mut Errors) -> u32 {
        let (tag, span) = match find(attrs, "tag") {
            None => (self.last + 1, span),
            Some(attribute) => {
                for again in attrs
                    .iter()
                    .filter(|other| other.path().is_ident("tag"))
                    .skip(1)
                {
                    errors.add_at(again, "a field has one tag");
                }
                match attribute.parse_args::<LitInt>() {
                    Ok(literal) => match literal.base10_parse::<u32>() {
                        Ok(tag) => (tag, literal.span()),
                        Err(_) => {
                            errors.add_at(&literal, BAD_TAG);
                            return self.last;
                        }
                    },
                    Err(_) => {
                        errors.add_at(attribute, "a tag is a number: write `#[tag(1)]`");
                        return self.last;
                    }
                }
            }
        };
        if tag == 0 || tag > MAX_TAG {
            errors.add(span, BAD_TAG);
        } else if RESERVED_TAGS.contains(&tag) {
            errors.add(
                span,
                "tags from 19000 to 19999 are reserved for protobuf itself: take another",
            );
        } else if let Some((_, other)) = self.taken.iter().find(|(taken, _)| *taken == tag) {
            errors.add(span, format!("`{other}` has the tag {tag} already"));
        }
        self.taken.push((tag, name.to_owned()));
        self.last = tag.min(MAX_TAG);
        tag
    }
}

/// The doc comment, lines joined by `\n`, without the space that `///` is followed by.
pub(super) fn docs(attrs: &[Attribute]) -> String {
    let lines: Vec<String> = attrs
        .iter()
        .filter_map(|attribute| match &attribute.meta {
            Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
                Expr::Lit(ExprLit {
                    lit: Lit::Str(text),
                    ..
                }) => Some(text.value()),
                _ => None,
            },
            _ => None,
        })
        .flat_map(|text| text.split('\n').map(str::to_owned).collect::<Vec<_>>())
        .map(|line| {
            line.strip_prefix(' ')
                .unwrap_or(&line)
                .trim_end()
                .to_owned()
        })
        .collect();
    lines.join("\n").trim_matches('\n').to_owned()
}

fn is_deprecated(attrs: &[Attribute]) -> bool {
    find(attrs, "deprecated").is_some()
}

/// Changes of case and prefixes, which come later, keep a name that protobuf takes one.
fn refuse_name(ident: &Ident, errors: &mut Errors) {
    errors.add_any(ident.span(), mistake(ident, &name(ident), None));
}

fn refuse_tag_and_unknown(attrs: &[Attribute], of: &str, errors: &mut Errors) {
    if let Some(attribute) = find(attrs, "tag") {
        errors.add_at(
            attribute,
            format!("{of} has no tag: fields and variants have"),
        );
    }
    refuse_unknown(attrs, errors);
}

/// What is said of types alone.
fn refuse_proto_name(attrs: &[Attribute], errors: &mut Errors) {
    if let Some(attribute) = find(attrs, "proto_name") {
        errors.add_at(
            attribute,
            "fields and variants have the names in protobuf that they have in Rust: rename it, or remove this attribute",
        );
    }
}

fn refuse_unknown(attrs: &[Attribute], errors: &mut Errors) {
    if let Some(attribute) = find(attrs, "unknown") {
        errors.add_at(
            attribute,
            "this attribute belongs before a variant of an enum",
        );
    }
}

/// A field that serde renames, skips or encodes otherwise would differ between the codecs, and from the fingerprint.
pub(super) fn refuse_serde(attrs: &[Attribute], errors: &mut Errors) {
    for attribute in attrs {
        if attribute.path().is_ident("serde") && !is_ours(attribute) {
            errors.add_at(attribute,
                "a message's encoding follows from its Rust types alone: remove the serde attribute, or keep a type of its own for other formats",
            );
        }
    }
}

/// Whether `#[message]` has written this attribute.
pub(super) fn is_ours(attribute: &Attribute) -> bool {
    let mut ours = attribute.path().is_ident("serde");
    if !ours {
        return false;
    }
    let parsed = attribute.parse_nested_meta(|meta| {
        let value: LitStr = meta.value()?.parse()?;
        let ident = meta.path.get_ident().map(ToString::to_string);
        ours &= matches!(
            ident.as_deref(),
            Some("with" | "serialize_with" | "deserialize_with")
        ) && value.value().contains(OUR_PATH);
        Ok(())
    });
    ours && parsed.is_ok()
}

/// Whether prost generated the type of a field. A type that no field can have is refused.
fn type_of(field: &syn::Field, errors: &mut Errors) -> bool {
    let prost = flag(&field.attrs, "prost", errors).is_some();
    refuse_borrowed(&field.ty, errors);
    let container = Container::of(&field.ty).filter(|_| !prost);
    if let Some(outer) = container {
        for (ty, inner) in outer.nested() {
            errors.add_at(
                ty,
                format!(
                    "`{}` cannot be inside of `{}` in a message, since protobuf has no such fields: put it into a `#[message]` struct of its own",
                    inner.ident, outer.ident
                ),
            );
        }
    }
    prost
}

fn refuse_borrowed(ty: &Type, errors: &mut Errors) {
    if let Type::Reference(reference) = ty {
        errors.add_at(reference,
            "a message owns what it holds, since it outlives the bytes that it came from: write `String` for `&str`, `Vec<T>` for `&[T]`",
        );
    }
}

fn literal(expr: &Expr) -> Option<i32> {
    match expr {
        Expr::Lit(ExprLit {
            lit: Lit::Int(number),
            ..
        }) => number.base10_parse().ok(),
        Expr::Unary(ExprUnary {
            op: UnOp::Neg(_),
            expr,
            ..
        }) => match &**expr {
            Expr::Lit(ExprLit {
                lit: Lit::Int(number),
                ..
            }) => {
                let number: i64 = number.base10_parse().ok()?;
                i32::try_from(-number).ok()
            }
            _ => None,
        },
        _ => None,
    }
}

/// Whether a type has fields or variants that may not be there: what they are is known only once `cfg` is resolved.
pub(super) fn has_cfg(data: &Data) -> bool {
    let conditional =
        |attrs: &[Attribute]| find(attrs, "cfg").is_some() || find(attrs, "cfg_attr").is_some();
    let any = |fields: &Fields| fields.iter().any(|field| conditional(&field.attrs));
    match data {
        Data::Struct(data) => any(&data.fields),
        Data::Enum(data) => data
            .variants
            .iter()
            .any(|variant| conditional(&variant.attrs) || any(&variant.fields)),
        Data::Union(_) => false,
    }
}

const RESERVED_TAGS: std::ops::RangeInclusive<u32> = 19000..=19999;
const BAD_TAG: &str = "a tag is a number from 1 to 536870911";

/// How the paths begin by which `#[message]` tells serde how to treat a field.
pub(super) const OUR_PATH: &str = "::blixard_rpc::codegen::";
