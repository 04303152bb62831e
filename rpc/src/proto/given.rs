//! [`Given`]: the descriptor set of an existing `.proto`, beside which a service was declared. What prost generated from it says
//! nothing of its schema in Rust, so the schema is looked up here, by the names that prost gives.

use std::collections::HashSet;

use prost::Message as _;
use prost_types::{
    DescriptorProto, FileDescriptorProto, FileDescriptorSet, ServiceDescriptorProto,
    field_descriptor_proto::{Label, Type},
};

use super::schema_error::SchemaError;

/// A descriptor set, and what is declared in it.
#[derive(Debug)]
pub(super) struct Given {
    /// The service that names the set.
    service: &'static str,
    files: Vec<FileDescriptorProto>,
    messages: Vec<Declared>,
}

/// A message that is declared in a set.
#[derive(Debug)]
struct Declared {
    /// The parts of its package.
    package: Vec<String>,
    /// The messages around it, and itself.
    names: Vec<String>,
    file: usize,
}

impl Given {
    /// Reads the set that a service names.
    pub(super) fn read(service: &'static str, set: &[u8]) -> Result<Self, SchemaError> {
        let set = FileDescriptorSet::decode(set).map_err(|error| {
            SchemaError::given(service, format!("it is not an encoded set: {error}"))
        })?;
        let mut messages = Vec::new();
        for (at, file) in set.file.iter().enumerate() {
            let parts = file.package().split('.').filter(|part| !part.is_empty());
            let package: Vec<String> = parts.map(str::to_owned).collect();
            for message in &file.message_type {
                declare(&package, &[], message, at, &mut messages);
            }
        }
        Ok(Self {
            service,
            files: set.file,
            messages,
        })
    }

    /// The service that names the set, if it is declared in it, and the file in which it is.
    pub(super) fn declared(&self) -> Option<(&FileDescriptorProto, &ServiceDescriptorProto)> {
        let (package, name) = self.service.rsplit_once('.').unwrap_or(("", self.service));
        self.files
            .iter()
            .filter(|file| file.package() == package)
            .find_map(|file| {
                let declared = file.service.iter().find(|it| it.name() == name)?;
                Some((file, declared))
            })
    }

    /// The full name of the message that prost generated a type from, and the file in which it is declared.
    ///
    /// Prost puts a message into a module for its package, and into one for each message around it, all in snake case, and spells its
    /// name in camel case. Which of the outer modules there are is up to the user, so as many of them count as agree.
    pub(super) fn message(&self, rust_path: &str) -> Result<(String, &str), SchemaError> {
        let path: Vec<String> = rust_path.split("::").map(plain).collect();
        let mut best: Vec<(&Declared, usize)> = Vec::new();
        for declared in &self.messages {
            let Some(agree) = declared.agrees(&path) else {
                continue;
            };
            if best.first().is_none_or(|(_, most)| agree > *most) {
                best.clear();
            }
            if best.first().is_none_or(|(_, most)| agree == *most) {
                best.push((declared, agree));
            }
        }
        match best.as_slice() {
            [(declared, _)] => Ok((declared.full_name(), self.files[declared.file].name())),
            [] => Err(SchemaError::given(
                self.service,
                format!(
                    "it declares no message that prost would make {rust_path} of; is it the set of another .proto?"
                ),
            )),
            [(first, _), (second, _), ..] => Err(SchemaError::given(
                self.service,
                format!(
                    "{rust_path} may be {} or {}: put what prost generated into modules that are called as its packages are",
                    first.full_name(),
                    second.full_name()
                ),
            )),
        }
    }

    /// Whether the set has this file.
    pub(super) fn declares(&self, file: &str) -> bool {
        self.files.iter().any(|it| it.name() == file)
    }

    /// Whether a top-level message has the bytes of this scalar, or of nothing: its first field is one, or it has none.
    pub(super) fn begins_with(&self, full_name: &str, scalar: Option<Option<Type>>) -> bool {
        let (package, name) = full_name.rsplit_once('.').unwrap_or(("", full_name));
        let mut files = self.files.iter().filter(|file| file.package() == package);
        let message = files.find_map(|file| file.message_type.iter().find(|it| it.name() == name));
        match (message, scalar) {
            (Some(_), Some(None)) => true,
            (Some(message), Some(Some(scalar))) => message.field.iter().any(|field| {
                field.number() == 1 && field.r#type() == scalar && field.label() != Label::Repeated
            }),
            _ => false,
        }
    }

    /// A file and all that it imports, each after what it imports itself.
    pub(super) fn with_imports(
        &self,
        name: &str,
    ) -> Result<Vec<&FileDescriptorProto>, SchemaError> {
        let mut out = Vec::new();
        self.collect(name, &mut HashSet::new(), &mut out)?;
        Ok(out)
    }

    fn collect<'a>(
        &'a self,
        name: &str,
        seen: &mut HashSet<String>,
        out: &mut Vec<&'a FileDescriptorProto>,
    ) -> Result<(), SchemaError> {
        if !seen.insert(name.to_owned()) {
            return Ok(());
        }
        let Some(file) = self.files.iter().find(|file| file.name() == name) else {
            return Err(SchemaError::given(
                self.service,
                format!("it lacks {name}: let it include imports"),
            ));
        };
        for import in &file.dependency {
            self.collect(import, seen, out)?;
        }
        out.push(file);
        Ok(())
    }
}

impl Declared {
    fn full_name(&self) -> String {
        [self.package.as_slice(), self.names.as_slice()]
            .concat()
            .join(".")
    }

    /// How many parts of the path say that this is it; `None` if it is not.
    fn agrees(&self, path: &[String]) -> Option<usize> {
        let mut path = path.iter().rev();
        for name in self.names.iter().rev() {
            if path.next()? != &plain(name) {
                return None;
            }
        }
        let package = self.package.iter().rev().zip(path);
        let agree = package
            .take_while(|(part, module)| plain(part) == **module)
            .count();
        Some(self.names.len() + agree)
    }
}

fn declare(
    package: &[String],
    outer: &[String],
    message: &DescriptorProto,
    file: usize,
    out: &mut Vec<Declared>,
) {
    let mut names = outer.to_vec();
    names.push(message.name().to_owned());
    for nested in &message.nested_type {
        declare(package, &names, nested, file, out);
    }
    out.push(Declared {
        package: package.to_vec(),
        names,
        file,
    });
}

/// A name, however it is spelled.
fn plain(name: &str) -> String {
    let name = name.strip_prefix("r#").unwrap_or(name);
    name.chars()
        .filter(|char| *char != '_')
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(name: &str, nested: Vec<DescriptorProto>) -> DescriptorProto {
        DescriptorProto {
            name: Some(name.to_owned()),
            nested_type: nested,
            ..DescriptorProto::default()
        }
    }

    fn given() -> Given {
        let file = |name: &str, package: &str, messages, dependency: &[&str]| FileDescriptorProto {
            name: Some(name.to_owned()),
            package: Some(package.to_owned()),
            message_type: messages,
            dependency: dependency.iter().map(|name| (*name).to_owned()).collect(),
            ..FileDescriptorProto::default()
        };
        let set = FileDescriptorSet {
            file: vec![
                file(
                    "a.proto",
                    "shop.v1",
                    vec![
                        message("HTTPOrder", vec![message("Line_item", vec![])]),
                        message("Item", vec![]),
                    ],
                    &["b.proto"],
                ),
                file(
                    "b.proto",
                    "shop.v2",
                    vec![message("Item", vec![])],
                    &["c.proto"],
                ),
            ],
        };
        Given::read("shop.v1.Shop", &set.encode_to_vec()).unwrap()
    }

    #[test]
    fn types_of_prost_are_found_by_their_paths() {
        let given = given();
        let check = |path: &str, expected: Result<(&str, &str), &str>| match (
            given.message(path),
            expected,
        ) {
            (Ok((name, file)), Ok(expected)) => assert_eq!((&*name, file), expected, "{path}"),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{path}: {error}"),
            (found, expected) => panic!("{path}: {found:?}, and not {expected:?}"),
        };
        check("my::HttpOrder", Ok(("shop.v1.HTTPOrder", "a.proto")));
        check(
            "my::http_order::LineItem",
            Ok(("shop.v1.HTTPOrder.Line_item", "a.proto")),
        );
        check("my::LineItem", Err("no message"));
        check("my::v1::Item", Ok(("shop.v1.Item", "a.proto")));
        check("my::shop::v2::Item", Ok(("shop.v2.Item", "b.proto")));
        check("my::Item", Err("may be shop.v1.Item or shop.v2.Item"));
        check("my::Other", Err("no message"));
    }

    #[test]
    fn a_set_without_its_imports_is_not_complete() {
        let error = given().with_imports("a.proto").unwrap_err().to_string();
        assert!(
            error.contains("shop.v1.Shop") && error.contains("lacks c.proto"),
            "{error}"
        );
    }

    #[test]
    fn what_is_no_set_is_not_read() {
        let error = Given::read("s.S", &[7; 7]).unwrap_err().to_string();
        assert!(error.contains("not an encoded set"), "{error}");
    }
}
