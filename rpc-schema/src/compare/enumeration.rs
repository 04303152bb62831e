//! Enums: which values there are, under which number and name.

use prost_types::{EnumDescriptorProto, EnumValueDescriptorProto};

use super::{breaks::Whom, sides::Sides};

/// Compares the enums that have the same name. Those that a field holds now in place of another are compared there.
pub(super) fn enums(sides: &mut Sides<'_>) {
    let before: Vec<_> = sides
        .old
        .enums
        .iter()
        .filter(|(_, entry)| entry.own)
        .map(|(name, entry)| (name.clone(), entry.is))
        .collect();
    let used = sides.old.used();
    for (name, old) in before {
        let translated = sides.translate(&name);
        match sides.new.enums.get(&translated).map(|entry| entry.is) {
            Some(new) => sides.about(&name, |sides| {
                pair(sides, (&name, old), (&translated, new));
            }),
            None if used.contains(&name) => {}
            None => sides.report(
                Whom::Rebuilt,
                format!("enum {name}"),
                "it was removed",
                "code that names it does not compile any more",
            ),
        }
    }
}

/// Compares two enums, whatever they are called.
pub(super) fn pair(
    sides: &mut Sides<'_>,
    (old_name, old): (&str, &EnumDescriptorProto),
    (new_name, new): (&str, &EnumDescriptorProto),
) {
    if !sides.begin(old_name, new_name) {
        return;
    }
    for was in &old.value {
        value(sides, old_name, was, new);
    }
    for range in &old.reserved_range {
        let holds = |number: i32| {
            new.reserved_range
                .iter()
                .any(|range| (range.start()..=range.end()).contains(&number))
        };
        let ends = new
            .reserved_range
            .iter()
            .map(|range| range.end().saturating_add(1));
        let free = ends
            .chain([range.start()])
            .filter(|number| (range.start()..=range.end()).contains(number))
            .find(|number| !holds(*number));
        if let Some(number) = free {
            let taken = new.value.iter().find(|value| value.number() == number);
            sides.report_instead(
                Whom::Running,
                format!("enum {old_name}"),
                match taken {
                    Some(value) => format!(
                        "`{}` has the number {number}, which was reserved",
                        value.name()
                    ),
                    None => format!("the number {number} is not reserved any more"),
                },
                "a value that was removed had it, and others may still send that",
                format!("`#[reserved({number})]` before the type"),
            );
        }
    }
    for reserved in &old.reserved_name {
        if !new.reserved_name.contains(reserved) {
            sides.report_instead(
                Whom::Text,
                format!("enum {old_name}"),
                format!("the name `{reserved}` is not reserved any more"),
                "a value that was removed had it, and others may still write that in JSON",
                format!("`#[reserved(\"{reserved}\")]` before the type"),
            );
        }
    }
}

fn value(
    sides: &mut Sides<'_>,
    name: &str,
    was: &EnumValueDescriptorProto,
    new: &EnumDescriptorProto,
) {
    let place = format!("{name}.{} ({})", was.name(), was.number());
    let called = new.value.iter().find(|is| is.name() == was.name());
    let numbered = new.value.iter().find(|is| is.number() == was.number());
    let reserve = format!(
        "`#[reserved({}, \"{}\")]` before the enum",
        was.number(),
        was.name()
    );
    match (called, numbered) {
        (Some(is), _) if is.number() == was.number() => {}
        (Some(is), _) => sides.report_instead(
            Whom::Running,
            place,
            format!("it has the number {} now", is.number()),
            match numbered {
                Some(other) => format!("what others send as `{}` is read as `{}` here, and the reverse", was.name(), other.name()),
                None => format!("what others send as `{}` is not known here, and the reverse", was.name()),
            },
            format!("the number {}, as it was", was.number()),
        ),
        (None, Some(is)) => sides.report_instead(
            Whom::Text,
            place,
            format!("`{}` has its number now", is.name()),
            format!(
                "under a new name it is the same on the wire, but text and code of others have `{}`; with another meaning it is a trap for \
                 clients that run",
                was.name()
            ),
            format!("the old name; or, if it means something else, another number for `{}`, and {reserve}", is.name()),
        ),
        (None, None) => {
            let number = new
                .reserved_range
                .iter()
                .any(|range| (range.start()..=range.end()).contains(&was.number()));
            let name = new.reserved_name.iter().any(|name| name == was.name());
            match (number, name) {
                (true, true) => {}
                (false, _) => sides.report_instead(
                    Whom::Running,
                    place,
                    "it was removed, and its number is not reserved",
                    "others still send it: it is not known here, and whatever gets the number next would be taken for it",
                    reserve,
                ),
                (true, false) => sides.report_instead(
                    Whom::Text,
                    place,
                    "it was removed, and its name is not reserved",
                    "others still write it in JSON: whatever gets the name next would be taken for it",
                    reserve,
                ),
            }
        }
    }
}
