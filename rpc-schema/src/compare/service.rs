//! Packages, services and methods.

use std::collections::BTreeSet;

use prost_types::{
    MethodDescriptorProto, ServiceDescriptorProto, method_options::IdempotencyLevel,
};

use super::{
    breaks::Whom,
    field::{Named, named},
    index::plain,
    sides::Sides,
};

/// Finds packages that are called otherwise now, so that what is in them is compared all the same; and files that are.
pub(super) fn packages(sides: &mut Sides<'_>) {
    let (before, now) = (sides.old.packages(), sides.new.packages());
    let gone: Vec<_> = before.difference(&now).copied().collect();
    let added: Vec<_> = now.difference(&before).copied().collect();
    for was in gone {
        let names = declared(sides.old.services.keys(), was);
        let is = added.iter().copied().find(|is| {
            let there = declared(sides.new.services.keys(), is);
            names.iter().any(|name| there.contains(name))
        });
        // A package without a name has no prefix to tell its own by.
        if let Some(is) = is.filter(|is| !was.is_empty() && !is.is_empty()) {
            sides.moved.insert(was, is);
            sides.report_instead(
                Whom::Running,
                format!("package {was}"),
                format!("it is called {is} now"),
                format!(
                    "clients call /{was}.{}/.., and are answered UNIMPLEMENTED",
                    names.iter().next().map_or("..", String::as_str)
                ),
                format!("keep the trait with `package = \"{was}\"` beside the new one as long as there are such clients"),
            );
        }
    }
    files(sides);
}

/// The names without the package of what is declared in it.
fn declared<'n>(names: impl Iterator<Item = &'n String>, package: &str) -> BTreeSet<String> {
    names
        .filter_map(|name| match package {
            "" => (!name.contains('.')).then_some(name.as_str()),
            package => name.strip_prefix(package)?.strip_prefix('.'),
        })
        .map(str::to_owned)
        .collect()
}

/// Code that is generated lies in files, modules and headers that are called after the file.
fn files(sides: &mut Sides<'_>) {
    let mut moved = BTreeSet::new();
    let mut entry = |name: &str, old: &str, new: Option<&str>| {
        let elsewhere = sides.translate(name) != name;
        if let Some(new) = new.filter(|new| *new != old && !elsewhere) {
            moved.insert((old.to_owned(), new.to_owned()));
        }
    };
    for (name, old) in sides.old.services.iter().filter(|(_, old)| old.own) {
        let new = sides.new.services.get(name);
        entry(name, old.file.name(), new.map(|it| it.file.name()));
    }
    for (name, old) in sides.old.messages.iter().filter(|(_, old)| old.own) {
        let new = sides.new.messages.get(name);
        entry(name, old.file.name(), new.map(|it| it.file.name()));
    }
    for (name, old) in sides.old.enums.iter().filter(|(_, old)| old.own) {
        let new = sides.new.enums.get(name);
        entry(name, old.file.name(), new.map(|it| it.file.name()));
    }
    for (old, new) in moved {
        sides.report(
            Whom::Rebuilt,
            old,
            format!("what it declares is in {new} now"),
            "other files import the old one by its name, and so does code that was generated from it",
        );
    }
}

/// Compares the services.
pub(super) fn services(sides: &mut Sides<'_>) {
    let before: Vec<_> = sides
        .old
        .services
        .iter()
        .filter(|(_, entry)| entry.own)
        .map(|(name, entry)| (name.clone(), entry.is))
        .collect();
    for (name, old) in before {
        match sides.new.services.get(&sides.translate(&name)) {
            Some(entry) => methods(sides, &name, old, entry.is),
            None => gone(sides, &name, old),
        }
    }
}

fn gone(sides: &mut Sides<'_>, name: &str, old: &ServiceDescriptorProto) {
    let names = |of: &ServiceDescriptorProto| -> BTreeSet<String> {
        of.method.iter().map(|it| it.name().to_owned()).collect()
    };
    let (methods, package) = (
        names(old),
        name.rsplit_once('.').map(|(package, _)| package),
    );
    let renamed = sides.new.services.iter().find(|(other, entry)| {
        !sides.old.services.contains_key(*other)
            && !methods.is_empty()
            && names(entry.is) == methods
            && other.rsplit_once('.').map(|(package, _)| package) == package
    });
    let effect = "clients that call it are answered UNIMPLEMENTED";
    match renamed {
        Some((now, _)) => {
            let (_, was) = name.rsplit_once('.').unwrap_or(("", name));
            let change = format!("it is called {now} now");
            let instead = format!(
                "write `#[iroh_service(name = \"{was}\")]`, which keeps the name on the wire"
            );
            sides.report_instead(Whom::Running, service(name), change, effect, instead);
        }
        None => sides.report(Whom::Running, service(name), "it was removed", effect),
    }
}

fn service(name: &str) -> String {
    format!("service {name}")
}

fn methods(
    sides: &mut Sides<'_>,
    name: &str,
    old: &ServiceDescriptorProto,
    new: &ServiceDescriptorProto,
) {
    for was in &old.method {
        let place = format!("{name}.{}", was.name());
        match new.method.iter().find(|is| is.name() == was.name()) {
            Some(is) => method(sides, &place, was, is),
            None => {
                let effect = "clients that call it are answered UNIMPLEMENTED";
                // Not one that was there before, and of the same messages.
                let renamed = new.method.iter().find(|is| {
                    !old.method.iter().any(|was| was.name() == is.name())
                        && sides.translate(was.input_type()) == is.input_type()
                        && sides.translate(was.output_type()) == is.output_type()
                });
                match renamed {
                    Some(is) => sides.report_instead(
                        Whom::Running,
                        place,
                        format!("it is called {} now", is.name()),
                        effect,
                        format!(
                            "write `#[rpc(name = \"{}\")]`, which keeps the name on the wire",
                            was.name()
                        ),
                    ),
                    None => sides.report_instead(
                        Whom::Running,
                        place,
                        "it was removed",
                        effect,
                        "keep it with `#[deprecated]` as long as there are such clients",
                    ),
                }
            }
        }
    }
}

fn method(
    sides: &mut Sides<'_>,
    place: &str,
    old: &MethodDescriptorProto,
    new: &MethodDescriptorProto,
) {
    for (what, was, is) in [
        ("takes", old.client_streaming(), new.client_streaming()),
        ("answers", old.server_streaming(), new.server_streaming()),
    ] {
        if was != is {
            let many = |many| if many { "a stream" } else { "one message" };
            sides.report_instead(
                Whom::Running,
                place,
                format!("it {what} {} now, and {} {} before", many(is), past(what), many(was)),
                "clients send and read as many messages as before, and calls fail or wait for ever where that is wrong",
                "a method of another name",
            );
        }
    }
    for (what, was, is) in [
        ("takes", old.input_type(), new.input_type()),
        ("answers", old.output_type(), new.output_type()),
    ] {
        if sides.translate(was) != is {
            let (was, is) = (plain(was), plain(is));
            let found = named(sides, Named::Message, was, is);
            sides.report(
                found.whom,
                place,
                format!("it {what} {is} now, and {} {was} before", past(what)),
                found.effect,
            );
        }
    }
    let level = |of: &MethodDescriptorProto| {
        of.options
            .as_ref()
            .map_or(IdempotencyLevel::IdempotencyUnknown, |it| {
                it.idempotency_level()
            })
    };
    let (was, is) = (level(old), level(new));
    let promises = |level| match level {
        IdempotencyLevel::IdempotencyUnknown => 0,
        IdempotencyLevel::Idempotent => 1,
        IdempotencyLevel::NoSideEffects => 2,
    };
    if promises(is) < promises(was) {
        sides.report_instead(
            Whom::Running,
            place,
            format!(
                "it was {} and is {} now",
                was.as_str_name(),
                is.as_str_name()
            ),
            "clients go on sending calls again whose answer was lost",
            "a method of another name",
        );
    }
}

fn past(what: &str) -> &'static str {
    if what == "takes" { "took" } else { "answered" }
}
