//! From a service to protobuf's own description of it: what reflection serves, and what `.proto` text is printed from.

use std::{collections::HashMap, fmt};

use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto,
    FileDescriptorProto, FileDescriptorSet, MessageOptions, MethodDescriptorProto, MethodOptions,
    OneofDescriptorProto, ServiceDescriptorProto, SourceCodeInfo,
    field_descriptor_proto::{Label, Type},
    method_options::IdempotencyLevel,
    source_code_info::Location,
};

use super::schema::{
    Body, Describe, Field, FieldType, NumberInfo, Of, Payload, Schema, TypeEntry, ValueType,
    Variant,
};

/// A service to be described.
#[derive(Clone, Debug)]
pub struct ServiceInfo {
    /// The full name, with the package.
    pub name: &'static str,
    /// The doc comment.
    pub docs: &'static str,
    /// The methods.
    pub methods: Vec<MethodInfo>,
}

/// A method of a service to be described.
#[derive(Clone, Debug)]
pub struct MethodInfo {
    /// The name.
    pub name: &'static str,
    /// The doc comment.
    pub docs: &'static str,
    /// Describes what goes to the server.
    pub request: Describe,
    /// Describes what comes back.
    pub response: Describe,
    /// Whether requests are many.
    pub client_streaming: bool,
    /// Whether responses are many.
    pub server_streaming: bool,
    /// Whether a call may be sent twice without harm.
    pub idempotent: bool,
}

/// Describes a service, and all messages that it is made of, as a file of its own in the service's package.
///
/// Doc comments are in the source information.
///
/// # Errors
/// Two types have one name.
pub fn file(service: &ServiceInfo) -> Result<FileDescriptorProto, NameClash> {
    let (package, name) = service.split_name();
    file_of(package, file_name(package, name), &[service])
}

/// Describes services, those of one package in one file since they may share messages, and before them the files of protobuf's own
/// types that they import.
///
/// # Errors
/// Two types of a package have one name.
pub fn file_set(services: &[ServiceInfo]) -> Result<FileDescriptorSet, NameClash> {
    let mut packages: Vec<(&str, Vec<&ServiceInfo>)> = Vec::new();
    for service in services {
        let (package, _) = service.split_name();
        match packages.iter_mut().find(|(known, _)| *known == package) {
            Some((_, services)) => services.push(service),
            None => packages.push((package, vec![service])),
        }
    }
    let files = packages
        .iter()
        .map(|(package, services)| match services.as_slice() {
            [service] => file(service),
            services => file_of(package, file_name(package, "Services"), services),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let mut imports: Vec<&str> = files
        .iter()
        .flat_map(|file| file.dependency.iter().map(String::as_str))
        .collect();
    imports.sort_unstable();
    imports.dedup();
    let imported: Vec<_> = imports
        .into_iter()
        .filter_map(super::wellknown::file)
        .collect();
    Ok(FileDescriptorSet {
        file: imported.into_iter().chain(files).collect(),
    })
}

/// Describes services of one package.
fn file_of(
    package: &str,
    name: String,
    services: &[&ServiceInfo],
) -> Result<FileDescriptorProto, NameClash> {
    let mut schema = Schema::new(package);
    let described: Vec<_> = services
        .iter()
        .map(|service| {
            let methods: Vec<_> = service
                .methods
                .iter()
                .map(|method| {
                    (
                        method,
                        (method.request)(&mut schema),
                        (method.response)(&mut schema),
                    )
                })
                .collect();
            (service, methods)
        })
        .collect();
    let mut file = File {
        schema: &schema,
        out: FileDescriptorProto {
            name: Some(name),
            package: (!package.is_empty()).then(|| package.to_owned()),
            syntax: Some("proto3".to_owned()),
            ..FileDescriptorProto::default()
        },
        locations: Vec::new(),
        symbols: HashMap::new(),
    };
    for (service, methods) in described {
        let (_, name) = service.split_name();
        file.claim(name, format!("the service {name}"))?;
        file.service(name, service.docs, &methods);
    }
    // What is within a message comes when the message is there.
    let (within, own): (Vec<_>, Vec<_>) = schema
        .types()
        .iter()
        .partition(|entry| schema.outer(entry).is_some());
    for entry in own.into_iter().chain(within) {
        file.entry(entry)?;
    }
    file.imports();
    let File {
        mut out, locations, ..
    } = file;
    out.source_code_info = Some(SourceCodeInfo {
        location: locations,
    });
    Ok(out)
}

impl ServiceInfo {
    /// The package and the name in it.
    fn split_name(&self) -> (&'static str, &'static str) {
        self.name.rsplit_once('.').unwrap_or(("", self.name))
    }
}

/// Two types of a service have one name in protobuf: rename one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameClash {
    name: String,
    first: String,
    second: String,
}

impl fmt::Display for NameClash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} and {} are both called {} in protobuf: rename one of them",
            self.first, self.second, self.name
        )
    }
}

impl std::error::Error for NameClash {}

/// A file in the making.
struct File<'a> {
    schema: &'a Schema,
    out: FileDescriptorProto,
    locations: Vec<Location>,
    /// The names in the package, and what each stands for.
    symbols: HashMap<String, String>,
}

impl File<'_> {
    fn claim(&mut self, name: &str, what: impl Into<String>) -> Result<(), NameClash> {
        let what = what.into();
        match self.symbols.get(name) {
            Some(first) => Err(NameClash {
                name: name.to_owned(),
                first: first.clone(),
                second: what,
            }),
            None => {
                self.symbols.insert(name.to_owned(), what);
                Ok(())
            }
        }
    }

    fn service(&mut self, name: &str, docs: &str, methods: &[(&MethodInfo, String, String)]) {
        let place = place(self.out.service.len());
        self.comment(&[SERVICE, place], docs);
        let methods = methods
            .iter()
            .zip(0..)
            .map(|((method, request, response), at)| {
                self.comment(&[SERVICE, place, METHOD, at], method.docs);
                MethodDescriptorProto {
                    name: Some(method.name.to_owned()),
                    input_type: Some(format!(".{request}")),
                    output_type: Some(format!(".{response}")),
                    options: method.idempotent.then(|| MethodOptions {
                        idempotency_level: Some(IdempotencyLevel::Idempotent.into()),
                        ..MethodOptions::default()
                    }),
                    client_streaming: method.client_streaming.then_some(true),
                    server_streaming: method.server_streaming.then_some(true),
                }
            })
            .collect();
        self.out.service.push(ServiceDescriptorProto {
            name: Some(name.to_owned()),
            method: methods,
            options: None,
        });
    }

    fn entry(&mut self, entry: &TypeEntry) -> Result<(), NameClash> {
        let name = entry.name.rsplit('.').next().unwrap_or(&entry.name);
        match &entry.body {
            // Every type is described before the schema is read.
            Body::Pending => Ok(()),
            Body::External { .. } => Ok(()),
            Body::Message(fields) => {
                self.claim(name, entry.rust)?;
                let path = [MESSAGE, place(self.out.message_type.len())];
                self.comment(&path, entry.docs);
                let message = self.message(&path, &entry.name, name, fields);
                self.out.message_type.push(message);
                Ok(())
            }
            Body::Oneof {
                name: oneof,
                variants,
                ..
            } => {
                self.claim(name, entry.rust)?;
                let path = [MESSAGE, place(self.out.message_type.len())];
                self.comment(&path, entry.docs);
                let message = self.oneof(&path, &entry.name, name, oneof, variants);
                self.out.message_type.push(message);
                Ok(())
            }
            Body::Enum { numbers, .. } => self.enumeration(entry, name, numbers),
        }
    }

    fn enumeration(
        &mut self,
        entry: &TypeEntry,
        name: &str,
        numbers: &[NumberInfo],
    ) -> Result<(), NameClash> {
        let outer = self.schema.outer(entry);
        let scope = outer.map_or_else(String::new, |outer| format!("{outer}."));
        self.claim(&format!("{scope}{name}"), entry.rust)?;
        let outer = outer.map(|outer| self.place_of(outer));
        let path = match outer {
            None => vec![ENUM, place(self.out.enum_type.len())],
            Some(at) => {
                let before = self.out.message_type[at].enum_type.len();
                vec![MESSAGE, place(at), NESTED_ENUM, place(before)]
            }
        };
        self.comment(&path, entry.docs);
        // In proto3 the first value is the one with the number 0.
        let mut ordered: Vec<&NumberInfo> = numbers.iter().collect();
        ordered.sort_by_key(|number| number.number != 0);
        let mut values = Vec::new();
        for (number, at) in ordered.into_iter().zip(0..) {
            self.claim(
                &format!("{scope}{}", number.name),
                format!("a variant of {}", entry.rust),
            )?;
            self.comment_below(&path, &[ENUM_VALUE, at], number.docs);
            values.push(EnumValueDescriptorProto {
                name: Some(number.name.to_owned()),
                number: Some(number.number),
                options: None,
            });
        }
        let described = EnumDescriptorProto {
            name: Some(name.to_owned()),
            value: values,
            ..EnumDescriptorProto::default()
        };
        match outer {
            None => self.out.enum_type.push(described),
            Some(at) => self.out.message_type[at].enum_type.push(described),
        }
        Ok(())
    }

    /// Where a message is; one that the service does not use is there for what is declared within it.
    fn place_of(&mut self, message: &str) -> usize {
        let messages = &mut self.out.message_type;
        let known = messages.iter().position(|known| known.name() == message);
        known.unwrap_or_else(|| {
            messages.push(DescriptorProto {
                name: Some(message.to_owned()),
                ..DescriptorProto::default()
            });
            messages.len() - 1
        })
    }

    /// A struct, or a variant with fields.
    fn message(
        &mut self,
        path: &[i32],
        full_name: &str,
        name: &str,
        fields: &[Field],
    ) -> DescriptorProto {
        let mut out = DescriptorProto {
            name: Some(name.to_owned()),
            ..DescriptorProto::default()
        };
        for (field, at) in fields.iter().zip(0..) {
            self.comment_below(path, &[FIELD, at], field.info.docs);
            let (label, value) = match field.of {
                FieldType::Singular(value) | FieldType::Optional(value) => (Label::Optional, value),
                FieldType::Repeated(value) => (Label::Repeated, value),
                FieldType::Map(key, value) => {
                    let entry = format!("{}Entry", camel(field.info.name, true));
                    out.nested_type.push(DescriptorProto {
                        name: Some(entry.clone()),
                        field: vec![
                            self.field("key", 1, Label::Optional, key),
                            self.field("value", 2, Label::Optional, value),
                        ],
                        options: Some(MessageOptions {
                            map_entry: Some(true),
                            ..MessageOptions::default()
                        }),
                        ..DescriptorProto::default()
                    });
                    out.field.push(FieldDescriptorProto {
                        r#type: Some(Type::Message.into()),
                        type_name: Some(format!(".{full_name}.{entry}")),
                        ..self.field(
                            field.info.name,
                            field.info.tag,
                            Label::Repeated,
                            ValueType::scalar(Type::Message, ""),
                        )
                    });
                    continue;
                }
            };
            let mut described = self.field(field.info.name, field.info.tag, label, value);
            if matches!(field.of, FieldType::Optional(_)) && value.proto != Type::Message {
                described.proto3_optional = Some(true);
                described.oneof_index = Some(place(out.oneof_decl.len()));
                out.oneof_decl.push(OneofDescriptorProto {
                    name: Some(format!("_{}", field.info.name)),
                    options: None,
                });
            }
            out.field.push(described);
        }
        out
    }

    /// An enum with data.
    fn oneof(
        &mut self,
        path: &[i32],
        full_name: &str,
        name: &str,
        oneof: &str,
        variants: &[Variant],
    ) -> DescriptorProto {
        let mut out = DescriptorProto {
            name: Some(name.to_owned()),
            oneof_decl: vec![OneofDescriptorProto {
                name: Some(oneof.to_owned()),
                options: None,
            }],
            ..DescriptorProto::default()
        };
        for (variant, at) in variants.iter().zip(0..) {
            let info = variant.info;
            self.comment_below(path, &[FIELD, at], info.docs);
            let mut field = match &variant.payload {
                Payload::Value(value) => self.field(info.field, info.tag, Label::Optional, *value),
                Payload::Fields(fields) => {
                    let nested_name = format!("{full_name}.{}", info.name);
                    let nested_path = [path, &[NESTED, place(out.nested_type.len())]].concat();
                    let nested = self.message(&nested_path, &nested_name, info.name, fields);
                    out.nested_type.push(nested);
                    FieldDescriptorProto {
                        type_name: Some(format!(".{nested_name}")),
                        ..self.field(
                            info.field,
                            info.tag,
                            Label::Optional,
                            ValueType::scalar(Type::Message, ""),
                        )
                    }
                }
            };
            field.oneof_index = Some(0);
            out.field.push(field);
        }
        out
    }

    fn field(&self, name: &str, tag: u32, label: Label, value: ValueType) -> FieldDescriptorProto {
        FieldDescriptorProto {
            name: Some(name.to_owned()),
            number: Some(tag as i32),
            label: Some(label.into()),
            r#type: Some(value.proto.into()),
            type_name: match value.of {
                Of::Named(_) => Some(format!(".{}", self.schema.name_of(value))),
                Of::Scalar(_) => None,
            },
            json_name: Some(camel(name, false)),
            ..FieldDescriptorProto::default()
        }
    }

    /// The files in which the external types are; those of prost-generated types are not known.
    fn imports(&mut self) {
        let mut detached = Vec::new();
        for entry in self.schema.types() {
            match entry.body {
                Body::External {
                    import: Some(import),
                } => {
                    self.out.dependency.push(import.to_owned());
                }
                Body::External { import: None } => detached.push(format!(
                    " {} is declared where prost generated {} from: import that file.\n",
                    entry.name, entry.rust
                )),
                _ => {}
            }
        }
        self.out.dependency.sort_unstable();
        self.out.dependency.dedup();
        if !detached.is_empty() {
            self.locations.push(Location {
                path: vec![SYNTAX],
                span: vec![0, 0, 0],
                leading_detached_comments: detached,
                ..Location::default()
            });
        }
    }

    fn comment_below(&mut self, path: &[i32], below: &[i32], docs: &str) {
        self.comment(&[path, below].concat(), docs);
    }

    fn comment(&mut self, path: &[i32], docs: &str) {
        if docs.is_empty() {
            return;
        }
        let comment: String = docs
            .lines()
            .map(|line| {
                if line.is_empty() {
                    "\n".to_owned()
                } else {
                    format!(" {line}\n")
                }
            })
            .collect();
        self.locations.push(Location {
            path: path.to_vec(),
            span: vec![0, 0, 0],
            leading_comments: Some(comment),
            ..Location::default()
        });
    }
}

/// `demo.v1` and `Greeter` make `demo/v1/greeter.proto`.
fn file_name(package: &str, service: &str) -> String {
    let mut name = package.replace('.', "/");
    if !name.is_empty() {
        name.push('/');
    }
    for (at, char) in service.char_indices() {
        if at > 0 && char.is_uppercase() {
            name.push('_');
        }
        name.extend(char.to_lowercase());
    }
    name + ".proto"
}

/// `by_name` in camel case, as protoc has it: an underscore goes, and what follows it is a capital.
fn camel(name: &str, mut capital: bool) -> String {
    let mut out = String::new();
    for char in name.chars() {
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

fn place(len: usize) -> i32 {
    i32::try_from(len).unwrap_or(i32::MAX)
}

// Numbers of the fields in descriptor.proto, of which the paths of the source information are made.
pub(super) const MESSAGE: i32 = 4;
pub(super) const ENUM: i32 = 5;
pub(super) const SERVICE: i32 = 6;
pub(super) const SYNTAX: i32 = 12;
pub(super) const METHOD: i32 = 2;
pub(super) const FIELD: i32 = 2;
pub(super) const NESTED: i32 = 3;
pub(super) const NESTED_ENUM: i32 = 4;
pub(super) const ENUM_VALUE: i32 = 2;
