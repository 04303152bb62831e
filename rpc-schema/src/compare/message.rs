//! Messages: which of their fields are there, under which number and name, and in which `oneof`.

use std::collections::BTreeSet;

use prost_types::{DescriptorProto, FieldDescriptorProto, descriptor_proto::ReservedRange};

use super::{breaks::Whom, field, index::is_map_entry, sides::Sides};

/// Compares the messages that have the same name. Those that a field or method holds now in place of another are compared there.
pub(super) fn messages(sides: &mut Sides<'_>) {
    let before: Vec<_> = sides
        .old
        .messages
        .iter()
        .filter(|(_, entry)| entry.own)
        .map(|(name, entry)| (name.clone(), entry.is))
        .collect();
    let used = sides.old.used();
    for (name, old) in before {
        if is_map_entry(old) {
            continue;
        }
        let translated = sides.translate(&name);
        match sides.new.messages.get(&translated).map(|entry| entry.is) {
            Some(new) => sides.about(&name, |sides| {
                pair(sides, (&name, old), (&translated, new));
            }),
            // Where it was used, something else is now, or nothing: that was said there.
            None if used.contains(&name) => {}
            None => sides.report(
                Whom::Rebuilt,
                format!("message {name}"),
                "it was removed",
                "code that names it does not compile any more",
            ),
        }
    }
}

/// Compares two messages, whatever they are called.
pub(super) fn pair(
    sides: &mut Sides<'_>,
    (old_name, old): (&str, &DescriptorProto),
    (new_name, new): (&str, &DescriptorProto),
) {
    if !sides.begin(old_name, new_name) {
        return;
    }
    for was in &old.field {
        field_of(sides, old_name, was, new);
    }
    oneofs(sides, old_name, old, new);
    reserved(sides, old_name, old, new);
}

/// The full name of a field, with its number.
fn place(message: &str, field: &FieldDescriptorProto) -> String {
    format!("{message}.{} (field {})", field.name(), field.number())
}

fn field_of(sides: &mut Sides<'_>, name: &str, was: &FieldDescriptorProto, new: &DescriptorProto) {
    let place = place(name, was);
    let numbered = new.field.iter().find(|is| is.number() == was.number());
    let called = new.field.iter().find(|is| is.name() == was.name());
    match (numbered, called) {
        (Some(is), _) if is.name() == was.name() => field::compare(sides, &place, was, is),
        (_, Some(is)) => sides.report_instead(
            Whom::Running,
            &place,
            format!("it has the number {} now", is.number()),
            match numbered {
                Some(other) => format!(
                    "what others send as `{}` is read as `{}` here, and the reverse",
                    was.name(),
                    other.name()
                ),
                None => format!(
                    "what others send under the number {} is skipped here, and the reverse: `{}` seems never to be set",
                    was.number(),
                    was.name()
                ),
            },
            format!("write `#[tag({})]` before it", was.number()),
        ),
        (Some(is), None) => {
            // A field of its own that came to the number, or the old one under a new name?
            let same = sides.apart(|sides| field::compare(sides, &place, was, is));
            if same.iter().any(|found| found.whom == Whom::Running) {
                sides.report_instead(
                    Whom::Running,
                    &place,
                    format!("it was removed, and `{}` has its number now", is.name()),
                    format!(
                        "what others send as `{}` is read as `{}` here, and the reverse",
                        was.name(),
                        is.name()
                    ),
                    format!("another number for `{}`, and {}", is.name(), reserve(was)),
                );
            } else {
                sides.report(
                    Whom::Text,
                    &place,
                    format!("it is called `{}` now", is.name()),
                    format!("the bytes are the same, but text and code of others have `{}`", was.name()),
                );
                field::compare(sides, &place, was, is);
            }
        }
        (None, None) => removed(sides, &place, was, new),
    }
}

fn removed(sides: &mut Sides<'_>, place: &str, was: &FieldDescriptorProto, new: &DescriptorProto) {
    let number = new
        .reserved_range
        .iter()
        .any(|range| holds(range, was.number()));
    let name = new.reserved_name.iter().any(|name| name == was.name());
    match (number, name) {
        (true, true) => {}
        (false, _) => sides.report_instead(
            Whom::Running,
            place,
            "it was removed, and its number is not reserved",
            format!(
                "others still send {}: whatever gets the number next would be set by them",
                was.number()
            ),
            reserve(was),
        ),
        (true, false) => sides.report_instead(
            Whom::Text,
            place,
            "it was removed, and its name is not reserved",
            format!(
                "others still write `{}` in JSON: whatever gets the name next would be set by them",
                was.name()
            ),
            reserve(was),
        ),
    }
}

fn reserve(was: &FieldDescriptorProto) -> String {
    format!(
        "`#[reserved({}, \"{}\")]` before the type",
        was.number(),
        was.name()
    )
}

/// Protobuf leaves the end out.
fn holds(range: &ReservedRange, number: i32) -> bool {
    (range.start()..range.end()).contains(&number)
}

/// What was reserved stays so, however it is written.
fn reserved(sides: &mut Sides<'_>, name: &str, old: &DescriptorProto, new: &DescriptorProto) {
    let place = format!("message {name}");
    for range in &old.reserved_range {
        // The ends of what is reserved now are where something may have become free.
        let starts = new.reserved_range.iter().map(ReservedRange::end);
        let free = starts
            .chain([range.start()])
            .filter(|number| holds(range, *number))
            .find(|number| !new.reserved_range.iter().any(|range| holds(range, *number)));
        if let Some(number) = free {
            let taken = new.field.iter().find(|field| field.number() == number);
            sides.report_instead(
                Whom::Running,
                &place,
                match taken {
                    Some(field) => format!(
                        "`{}` has the number {number}, which was reserved",
                        field.name()
                    ),
                    None => format!("the number {number} is not reserved any more"),
                },
                "a field that was removed had it, and others may still send that",
                format!("`#[reserved({number})]` before the type"),
            );
        }
    }
    for reserved in &old.reserved_name {
        if !new.reserved_name.contains(reserved) {
            sides.report_instead(
                Whom::Text,
                &place,
                match new.field.iter().any(|field| field.name() == reserved) {
                    true => format!("a field has the name `{reserved}`, which was reserved"),
                    false => format!("the name `{reserved}` is not reserved any more"),
                },
                "a field that was removed had it, and others may still write that in JSON",
                format!("`#[reserved(\"{reserved}\")]` before the type"),
            );
        }
    }
}

/// The `oneof` that a field is in, unless it only says that the field may be absent.
fn oneof<'a>(message: &'a DescriptorProto, field: &FieldDescriptorProto) -> Option<&'a str> {
    if field.proto3_optional() {
        return None;
    }
    let index = usize::try_from(field.oneof_index?).ok()?;
    message.oneof_decl.get(index).map(|oneof| oneof.name())
}

/// Who is in which `oneof`, by number.
fn members<'a>(message: &'a DescriptorProto, of: &str) -> BTreeSet<i32> {
    let fields: std::slice::Iter<'a, _> = message.field.iter();
    fields
        .filter(|field| oneof(message, field) == Some(of))
        .map(FieldDescriptorProto::number)
        .collect()
}

fn oneofs(sides: &mut Sides<'_>, name: &str, old: &DescriptorProto, new: &DescriptorProto) {
    let mut renamed = BTreeSet::new();
    for was in &old.field {
        let Some(is) = new.field.iter().find(|is| is.number() == was.number()) else {
            continue;
        };
        let before: BTreeSet<i32> = old.field.iter().map(FieldDescriptorProto::number).collect();
        match (oneof(old, was), oneof(new, is)) {
            (None, None) => {}
            (Some(was_in), Some(is_in)) if was_in == is_in => {}
            // All who were in it are in the other one, with nobody from elsewhere but who is new.
            (Some(was_in), Some(is_in))
                if members(new, is_in).intersection(&before).all(|it| members(old, was_in).contains(it)) =>
            {
                if renamed.insert(was_in) {
                    sides.report(
                        Whom::Rebuilt,
                        format!("{name}.{was_in} (oneof)"),
                        format!("it is called `{is_in}` now"),
                        "the bytes are the same, but code of others has the old name",
                    );
                }
            }
            // Alone in it, a field is what it was, but that it may be absent.
            (None, Some(is_in)) if members(new, is_in).intersection(&before).count() <= 1 => {
                sides.report(
                    Whom::Rebuilt,
                    place(name, was),
                    format!("it is in the oneof `{is_in}` now"),
                    "the bytes are the same, but code of others reads and sets it in another way",
                );
            }
            (None, Some(is_in)) => sides.report(
                Whom::Running,
                place(name, was),
                format!("it is in the oneof `{is_in}` now"),
                "others send it together with the other fields of the oneof, and only the last of them is kept here",
            ),
            (Some(was_in), None) => sides.report(
                Whom::Running,
                place(name, was),
                format!("it is not in the oneof `{was_in}` any more"),
                "sent together with another field of the oneof, only one of the two is read by others",
            ),
            (Some(was_in), Some(is_in)) => sides.report(
                Whom::Running,
                place(name, was),
                format!("it is in the oneof `{is_in}` now, and was in `{was_in}`"),
                "what excluded each other before does not now, and the reverse: fields that are sent together are lost",
            ),
        }
    }
}
