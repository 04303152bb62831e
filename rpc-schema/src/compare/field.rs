//! One field: its type, how many values it holds, and its name in JSON.

use prost_types::{
    FieldDescriptorProto,
    field_descriptor_proto::{Label, Type},
};

use super::{breaks::Whom, enumeration, index::plain, scalar, sides::Sides};

/// Compares two fields that have one number.
pub(super) fn compare(
    sides: &mut Sides<'_>,
    place: &str,
    old: &FieldDescriptorProto,
    new: &FieldDescriptorProto,
) {
    if old.name() == new.name() && json_name(old) != json_name(new) {
        sides.report(
            Whom::Text,
            place,
            format!(
                "its name in JSON is `{}` now, and was `{}`",
                json_name(new),
                json_name(old)
            ),
            "the bytes are the same, but whoever uses JSON does not find it",
        );
    }
    match (sides.old.map_entry(old), sides.new.map_entry(new)) {
        (Some(was), Some(is)) => {
            for (was, is) in was.field.iter().zip(&is.field) {
                types(
                    sides,
                    &format!("{place}, the {} of the map", was.name()),
                    was,
                    is,
                );
            }
        }
        (None, None) => {
            types(sides, place, old, new);
            labels(sides, place, old, new);
        }
        (was, is) => {
            let describe = |field, entry: Option<_>| match entry {
                Some(_) => "a map".to_owned(),
                None => described(field),
            };
            sides.report_instead(
                Whom::Running,
                place,
                format!("it is {} now, and was {}", describe(new, is), describe(old, was)),
                "the entries of a map are messages of a key and a value, which others do not find or do not expect",
                ANOTHER_FIELD,
            );
        }
    }
}

const ANOTHER_FIELD: &str = "a field more, with a number of its own";

/// What a field is, in words.
fn described(field: &FieldDescriptorProto) -> String {
    let of = match field.r#type() {
        Type::Message | Type::Group | Type::Enum => plain(field.type_name()).to_owned(),
        scalar => scalar::name(scalar).to_owned(),
    };
    if field.label() == Label::Repeated {
        format!("repeated {of}")
    } else {
        of
    }
}

fn type_name(field: &FieldDescriptorProto) -> &str {
    match field.r#type() {
        Type::Message | Type::Group | Type::Enum => plain(field.type_name()),
        scalar => scalar::name(scalar),
    }
}

fn types(
    sides: &mut Sides<'_>,
    place: &str,
    old: &FieldDescriptorProto,
    new: &FieldDescriptorProto,
) {
    let what = match (old.r#type(), new.r#type()) {
        (Type::Message, Type::Message) => Named::Message,
        (Type::Enum, Type::Enum) => Named::Enum,
        (was, is) => {
            if let Some((whom, effect)) = scalar::change(was, is) {
                sides.report_instead(
                    whom,
                    place,
                    format!("it is {} now, and was {}", type_name(new), type_name(old)),
                    effect,
                    ANOTHER_FIELD,
                );
            }
            return;
        }
    };
    if sides.translate(old.type_name()) == new.type_name() {
        return;
    }
    let found = named(sides, what, type_name(old), type_name(new));
    sides.report(
        found.whom,
        place,
        format!("it is {} now, and was {}", type_name(new), type_name(old)),
        found.effect,
    );
}

/// What has a name that does not matter on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) enum Named {
    Message,
    Enum,
}

/// What comes of one type in place of another.
pub(super) struct Found {
    pub(super) whom: Whom,
    pub(super) effect: String,
}

/// What comes of the second type in place of the first. Their names are not on the wire, so it depends on what they are made of.
pub(super) fn named(sides: &mut Sides<'_>, what: Named, old: &str, new: &str) -> Found {
    let found = match what {
        Named::Message => {
            let pair = sides.old.messages.get(old).zip(sides.new.messages.get(new));
            let (pair, compare) = (pair.map(|(was, is)| (was.is, is.is)), sides.messages);
            pair.map(|(was, is)| sides.apart(|sides| compare(sides, (old, was), (new, is))))
        }
        Named::Enum => {
            let pair = sides.old.enums.get(old).zip(sides.new.enums.get(new));
            let pair = pair.map(|(was, is)| (was.is, is.is));
            pair.map(|(was, is)| {
                sides.apart(|sides| enumeration::pair(sides, (old, was), (new, is)))
            })
        }
    };
    let Some(found) = found else {
        return Found {
            whom: Whom::Running,
            effect:
                "it cannot be known whether others understand it: one of the two is not declared"
                    .to_owned(),
        };
    };
    match found.iter().min_by_key(|found| found.whom) {
        None => Found {
            whom: Whom::Rebuilt,
            effect: "the bytes are the same, but code of others has the old name".to_owned(),
        },
        Some(worst) if worst.whom == Whom::Running => Found {
            whom: Whom::Running,
            effect: format!("they differ on the wire: {}: {}", worst.place, worst.change),
        },
        Some(worst) => Found {
            whom: worst.whom,
            effect: format!(
                "the bytes are the same, but {}: {}",
                worst.place, worst.change
            ),
        },
    }
}

fn labels(
    sides: &mut Sides<'_>,
    place: &str,
    old: &FieldDescriptorProto,
    new: &FieldDescriptorProto,
) {
    let repeated = |field: &FieldDescriptorProto| field.label() == Label::Repeated;
    match (repeated(old), repeated(new)) {
        (false, true) | (true, false) => {
            let effect = if scalar::packs(old.r#type()) {
                "a list lies in one piece on the wire: whoever knows a single value skips it, or refuses the message"
            } else {
                "whoever knows a single value reads the last of the list, and loses the others"
            };
            let (is, was) = (described(new), described(old));
            sides.report_instead(
                Whom::Running,
                place,
                format!("it is {is} now, and was {was}"),
                effect,
                ANOTHER_FIELD,
            );
        }
        (false, false) => {
            // A message may always be absent.
            if old.r#type() != Type::Message && old.proto3_optional() != new.proto3_optional() {
                let (change, effect) = if new.proto3_optional() {
                    (
                        "it is optional now",
                        "others cannot tell what is not set from zero or nothing, and do not send these: both are read as not set here",
                    )
                } else {
                    (
                        "it is not optional any more",
                        "whether it is set is not sent any more when it is zero or nothing, and code of others may ask for that",
                    )
                };
                sides.report(Whom::Rebuilt, place, change, effect);
            }
        }
        (true, true) => {}
    }
}

/// The name in JSON: as it was set, or as it follows from the name.
fn json_name(field: &FieldDescriptorProto) -> String {
    if let Some(name) = &field.json_name {
        return name.clone();
    }
    let mut out = String::new();
    let mut capital = false;
    for char in field.name().chars() {
        if char == '_' {
            capital = true;
        } else if capital {
            out.push(char.to_ascii_uppercase());
            capital = false;
        } else {
            out.push(char);
        }
    }
    out
}
