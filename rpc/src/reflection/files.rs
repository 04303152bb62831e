//! [`Files`]: descriptors by all names that one may ask for. Who asks is not known here.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use prost::Message as _;
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};

/// The files that describe the services of a router. It is made once, and is read only.
#[derive(Debug, Default)]
pub(super) struct Files {
    files: Vec<File>,
    names: HashMap<String, usize>,
    symbols: HashMap<String, Symbol>,
    extensions: HashMap<String, HashMap<i32, usize>>,
}

#[derive(Debug)]
struct File {
    encoded: Bytes,
    imports: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Symbol {
    file: usize,
    is_message: bool,
}

impl Files {
    pub(super) fn new(set: &FileDescriptorSet) -> Self {
        let names: HashMap<String, usize> = set
            .file
            .iter()
            .enumerate()
            .map(|(at, file)| (file.name().to_owned(), at))
            .collect();
        let mut this = Self::default();
        for (at, file) in set.file.iter().enumerate() {
            let imports = file.dependency.iter().filter_map(|name| names.get(name));
            this.files.push(File {
                encoded: file.encode_to_vec().into(),
                imports: imports.copied().collect(),
            });
            let package = file.package();
            for message in &file.message_type {
                this.message(at, package, message);
            }
            for enumeration in &file.enum_type {
                this.enumeration(at, package, enumeration);
            }
            for extension in &file.extension {
                this.extension(at, package, extension);
            }
            for service in &file.service {
                let name = this.symbol(at, package, service.name(), false);
                for method in &service.method {
                    this.symbol(at, &name, method.name(), false);
                }
            }
        }
        this.names = names;
        this
    }

    /// The file with this name.
    pub(super) fn named(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// The file that declares what has this full name.
    pub(super) fn declaring(&self, symbol: &str) -> Option<usize> {
        self.symbols.get(symbol).map(|symbol| symbol.file)
    }

    /// The file that declares this extension of a message.
    pub(super) fn extending(&self, message: &str, number: i32) -> Option<usize> {
        self.extensions.get(message)?.get(&number).copied()
    }

    /// The numbers of all extensions of a message, in their order; `None` if there is no such message.
    pub(super) fn extensions_of(&self, message: &str) -> Option<Vec<i32>> {
        self.symbols.get(message).filter(|it| it.is_message)?;
        let extensions = self.extensions.get(message);
        let numbers: BTreeSet<i32> = extensions
            .into_iter()
            .flat_map(|it| it.keys().copied())
            .collect();
        Some(numbers.into_iter().collect())
    }

    /// A file and what it imports, nearest first, each once and encoded. Of the imports, those that were sent before are left out, and
    /// those with which it would be more than `max_bytes`: who needs them asks.
    pub(super) fn with_imports(
        &self,
        file: usize,
        sent: &mut Sent,
        max_bytes: usize,
    ) -> Vec<Bytes> {
        sent.0.resize(self.files.len(), false);
        sent.0[file] = true;
        let mut taken = vec![file];
        let mut bytes = self.files[file].encoded.len();
        let mut at = 0;
        while let Some(&from) = taken.get(at) {
            at += 1;
            for &import in &self.files[from].imports {
                let length = self.files[import].encoded.len();
                if !sent.0[import] && bytes + length <= max_bytes {
                    sent.0[import] = true;
                    bytes += length;
                    taken.push(import);
                }
            }
        }
        taken
            .into_iter()
            .map(|file| self.files[file].encoded.clone())
            .collect()
    }

    fn message(&mut self, file: usize, scope: &str, message: &DescriptorProto) {
        let name = self.symbol(file, scope, message.name(), true);
        for field in &message.field {
            self.symbol(file, &name, field.name(), false);
        }
        for oneof in &message.oneof_decl {
            self.symbol(file, &name, oneof.name(), false);
        }
        for extension in &message.extension {
            self.extension(file, &name, extension);
        }
        for enumeration in &message.enum_type {
            self.enumeration(file, &name, enumeration);
        }
        for nested in &message.nested_type {
            self.message(file, &name, nested);
        }
    }

    /// Protobuf's values lie beside their enum, and not in it.
    fn enumeration(&mut self, file: usize, scope: &str, enumeration: &EnumDescriptorProto) {
        self.symbol(file, scope, enumeration.name(), false);
        for value in &enumeration.value {
            self.symbol(file, scope, value.name(), false);
        }
    }

    fn extension(&mut self, file: usize, scope: &str, extension: &FieldDescriptorProto) {
        self.symbol(file, scope, extension.name(), false);
        let extended = extension.extendee().trim_start_matches('.').to_owned();
        let numbers = self.extensions.entry(extended).or_default();
        numbers.insert(extension.number(), file);
    }

    /// Adds what is declared there; its full name.
    fn symbol(&mut self, file: usize, scope: &str, name: &str, is_message: bool) -> String {
        let full_name = if scope.is_empty() {
            name.to_owned()
        } else {
            format!("{scope}.{name}")
        };
        let symbol = Symbol { file, is_message };
        self.symbols.entry(full_name.clone()).or_insert(symbol);
        full_name
    }
}

/// Which files went to somebody already.
#[derive(Debug, Default)]
pub(super) struct Sent(Vec<bool>);

#[cfg(test)]
mod tests {
    use prost_types::{FileDescriptorProto, field_descriptor_proto::Type};

    use super::*;

    fn file(name: &str, dependency: &[&str]) -> FileDescriptorProto {
        FileDescriptorProto {
            name: Some(name.to_owned()),
            package: Some("shop.v1".to_owned()),
            dependency: dependency.iter().map(|name| (*name).to_owned()).collect(),
            ..FileDescriptorProto::default()
        }
    }

    fn names(files: Vec<Bytes>) -> Vec<String> {
        let name = |bytes| {
            FileDescriptorProto::decode(bytes)
                .unwrap()
                .name()
                .to_owned()
        };
        files.into_iter().map(name).collect()
    }

    #[test]
    fn imports_go_once_and_within_the_limit() {
        let set = FileDescriptorSet {
            // In a circle, which no compiler writes.
            file: vec![
                file("a", &["b", "c"]),
                file("b", &["d", "nowhere"]),
                file("c", &["d", "a"]),
                file("d", &[]),
            ],
        };
        let files = Files::new(&set);
        let a = files.named("a").unwrap();
        let mut sent = Sent::default();
        assert_eq!(
            names(files.with_imports(a, &mut sent, 1000)),
            ["a", "b", "c", "d"]
        );
        assert_eq!(names(files.with_imports(a, &mut sent, 1000)), ["a"]);
        // Beyond the limit, what was asked for and no more.
        assert_eq!(names(files.with_imports(a, &mut Sent::default(), 1)), ["a"]);
        assert_eq!(files.named("nowhere"), None);
    }

    #[test]
    fn extensions_are_found_by_what_they_extend() {
        let extension = |name: &str, number| FieldDescriptorProto {
            name: Some(name.to_owned()),
            number: Some(number),
            extendee: Some(".shop.v1.Order".to_owned()),
            r#type: Some(Type::Bool as i32),
            ..FieldDescriptorProto::default()
        };
        let order = DescriptorProto {
            name: Some("Order".to_owned()),
            ..DescriptorProto::default()
        };
        let around = DescriptorProto {
            name: Some("Around".to_owned()),
            extension: vec![extension("inner", 100)],
            ..DescriptorProto::default()
        };
        let set = FileDescriptorSet {
            file: vec![
                FileDescriptorProto {
                    message_type: vec![order],
                    ..file("order", &[])
                },
                FileDescriptorProto {
                    message_type: vec![around],
                    extension: vec![extension("outer", 7)],
                    ..file("more", &["order"])
                },
            ],
        };
        let files = Files::new(&set);
        let more = files.named("more");
        assert_eq!(files.extensions_of("shop.v1.Order"), Some(vec![7, 100]));
        assert_eq!(files.extensions_of("shop.v1.Around"), Some(vec![]));
        assert_eq!(files.extensions_of("shop.v1.outer"), None);
        assert_eq!(files.extending("shop.v1.Order", 100), more);
        assert_eq!(files.extending("shop.v1.Order", 8), None);
        for symbol in ["shop.v1.outer", "shop.v1.Around.inner", "shop.v1.Around"] {
            assert_eq!(files.declaring(symbol), more, "{symbol}");
        }
        assert_eq!(files.declaring(".shop.v1.Around"), None);
    }
}
