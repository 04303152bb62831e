//! From the services of a package to protobuf's own description of a file. Which files there are is said in `set`, and how one
//! is printed in `print`.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumOptions, EnumValueDescriptorProto, EnumValueOptions,
    FieldDescriptorProto, FieldOptions, FileDescriptorProto, MessageOptions, MethodDescriptorProto,
    MethodOptions, OneofDescriptorProto, ServiceDescriptorProto, ServiceOptions, SourceCodeInfo,
    descriptor_proto, enum_descriptor_proto,
    field_descriptor_proto::{Label, Type},
    method_options::IdempotencyLevel,
    source_code_info::Location,
};

use super::{
    docs::without_links,
    given::Given,
    schema::{
        Body, Describe, Field, FieldType, NumberInfo, Of, Payload, Reserved, Schema, TypeEntry,
        ValueType, Variant,
    },
    schema_error::SchemaError,
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
    /// Whether it is there for older clients only.
    pub deprecated: bool,
    /// The encoded descriptor set of an existing `.proto`, beside which the service is declared.
    pub file_descriptor_set: Option<&'static [u8]>,
}

impl ServiceInfo {
    /// The package and the name in it.
    pub(super) fn split_name(&self) -> (&'static str, &'static str) {
        self.name.rsplit_once('.').unwrap_or(("", self.name))
    }
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
    /// What the single argument is called, and its doc comment.
    pub argument: Option<(&'static str, &'static str)>,
    /// Describes what comes back.
    pub response: Describe,
    /// The package of what comes back with an error of its own, and what describes that.
    pub detail: Option<(&'static str, Describe)>,
    /// Whether requests are many.
    pub client_streaming: bool,
    /// Whether responses are many.
    pub server_streaming: bool,
    /// Whether a call may be sent twice without harm.
    pub idempotent: bool,
    /// Whether it is there for older clients only.
    pub deprecated: bool,
}

impl MethodInfo {
    /// Describes what it takes and answers; the full names.
    pub(super) fn describe(&self, service: &str, schema: &mut Schema) -> (String, String) {
        let mut describe = |what: &str, many, describe: Describe, field| {
            let described = describe(schema);
            let name = format!("{service}{}{what}", self.name);
            let article = if many { "a" } else { "the" };
            let what = format!("{article} {} of `{}`", what.to_lowercase(), self.name);
            schema.wrap(described, &name, what, field)
        };
        // In a stream the argument's name is that of all of them.
        let argument = self.argument.filter(|_| !self.client_streaming);
        (
            describe(
                "Request",
                self.client_streaming,
                self.request,
                argument.unwrap_or(("value", "")),
            ),
            describe(
                "Response",
                self.server_streaming,
                self.response,
                ("value", ""),
            ),
        )
    }
}

/// What becomes of a type that prost generated from a `.proto` that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// It is named, and a comment says that its file is to be imported: what people read.
    Named,
    /// A message without fields stands for it, so that all else can be resolved: what programs read.
    Declared,
    /// It is an error: what must be whole.
    Refused,
}

/// Describes services of one package, each with what it was given, and all messages that they are made of.
///
/// Doc comments are in the source information.
pub(super) fn describe(
    package: &str,
    services: &[(&ServiceInfo, Option<Arc<Given>>)],
    unknown: Unknown,
) -> Result<FileDescriptorProto, SchemaError> {
    let mut schema = Schema::new(package);
    let mut described = Vec::new();
    for (service, given) in services {
        schema.look_up_in(given.clone());
        let (_, name) = service.split_name();
        let methods: Vec<_> = service
            .methods
            .iter()
            .map(|method| (method, method.describe(name, &mut schema)))
            .collect();
        described.push((service, methods));
    }
    // What no method takes or answers, but statuses carry: for whoever reads these.
    for (service, _) in services {
        for (_, describe) in service
            .methods
            .iter()
            .filter_map(|method| method.detail)
            .filter(|(of, _)| *of == package)
        {
            describe(&mut schema);
        }
    }
    schema.all_found()?;
    let mut file = File {
        schema: &schema,
        out: FileDescriptorProto {
            name: Some(file_name(package)),
            package: (!package.is_empty()).then(|| package.to_owned()),
            syntax: Some("proto3".to_owned()),
            ..FileDescriptorProto::default()
        },
        locations: Vec::new(),
        symbols: HashMap::new(),
        unknown,
    };
    for (service, methods) in described {
        let (_, name) = service.split_name();
        file.claim(name, format!("the service {name}"))?;
        file.service(name, service, &methods);
    }
    // What is within a message comes when the message is there.
    let (within, own): (Vec<_>, Vec<_>) = schema
        .types()
        .iter()
        .partition(|entry| schema.outer(entry).is_some());
    for entry in own.into_iter().chain(within) {
        file.entry(entry)?;
    }
    file.externals()?;
    let File {
        mut out, locations, ..
    } = file;
    out.source_code_info = Some(SourceCodeInfo {
        location: locations,
    });
    Ok(out)
}

/// A file in the making.
struct File<'a> {
    schema: &'a Schema,
    out: FileDescriptorProto,
    locations: Vec<Location>,
    /// The names in the package, and what each stands for.
    symbols: HashMap<String, String>,
    unknown: Unknown,
}

impl File<'_> {
    fn claim(&mut self, name: &str, what: impl Into<String>) -> Result<(), SchemaError> {
        let what = what.into();
        match self.symbols.get(name) {
            Some(first) => Err(SchemaError::clash(name, first, &what)),
            None => {
                self.symbols.insert(name.to_owned(), what);
                Ok(())
            }
        }
    }

    fn service(
        &mut self,
        name: &str,
        service: &ServiceInfo,
        methods: &[(&MethodInfo, (String, String))],
    ) {
        let place = place(self.out.service.len());
        self.comment(&[SERVICE, place], service.docs);
        let methods = methods
            .iter()
            .zip(0..)
            .map(|((method, (request, response)), at)| {
                self.comment(&[SERVICE, place, METHOD, at], method.docs);
                MethodDescriptorProto {
                    name: Some(method.name.to_owned()),
                    input_type: Some(self.reference(request)),
                    output_type: Some(self.reference(response)),
                    options: (method.idempotent || method.deprecated).then(|| MethodOptions {
                        deprecated: method.deprecated.then_some(true),
                        idempotency_level: method
                            .idempotent
                            .then(|| IdempotencyLevel::Idempotent.into()),
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
            options: service.deprecated.then(|| ServiceOptions {
                deprecated: Some(true),
                ..ServiceOptions::default()
            }),
        });
    }

    fn entry(&mut self, entry: &TypeEntry) -> Result<(), SchemaError> {
        let name = entry.name.rsplit('.').next().unwrap_or(&entry.name);
        // What every message has; an enum has its own way.
        let begin = |file: &mut Self| {
            file.claim(name, entry.rust.clone())?;
            let path = [MESSAGE, place(file.out.message_type.len())];
            file.comment(&path, &entry.docs);
            Ok(path)
        };
        let message = match &entry.body {
            // Every type is described before the schema is read.
            Body::Pending | Body::External { .. } => return Ok(()),
            Body::Enum { numbers, .. } => return self.enumeration(entry, name, numbers),
            Body::Message(fields) => {
                let path = begin(self)?;
                self.message(&path, &entry.name, name, fields)
            }
            Body::Oneof {
                name: oneof,
                variants,
                ..
            } => {
                let path = begin(self)?;
                self.oneof(&path, &entry.name, name, oneof, variants)
            }
            Body::Wrapper(wrapped) => {
                let path = begin(self)?;
                let field = wrapped.map(|field| {
                    self.comment_below(&path, &[FIELD, 0], field.docs);
                    let scalar = ValueType::scalar(field.of, "");
                    self.field(field.name, 1, Label::Optional, scalar)
                });
                DescriptorProto {
                    name: Some(name.to_owned()),
                    field: field.into_iter().collect(),
                    ..DescriptorProto::default()
                }
            }
        };
        self.out.message_type.push(DescriptorProto {
            options: entry.deprecated.then(|| MessageOptions {
                deprecated: Some(true),
                ..MessageOptions::default()
            }),
            ..reserving(message, entry.reserved)
        });
        Ok(())
    }

    fn enumeration(
        &mut self,
        entry: &TypeEntry,
        name: &str,
        numbers: &[NumberInfo],
    ) -> Result<(), SchemaError> {
        let outer = self.schema.outer(entry);
        let scope = outer.map_or_else(String::new, |outer| format!("{outer}."));
        self.claim(&format!("{scope}{name}"), entry.rust.clone())?;
        let outer = outer.map(|outer| self.place_of(outer));
        let path = match outer {
            None => vec![ENUM, place(self.out.enum_type.len())],
            Some(at) => {
                let before = self.out.message_type[at].enum_type.len();
                vec![MESSAGE, place(at), NESTED_ENUM, place(before)]
            }
        };
        self.comment(&path, &entry.docs);
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
                options: number.deprecated.then(|| EnumValueOptions {
                    deprecated: Some(true),
                    ..EnumValueOptions::default()
                }),
            });
        }
        let ranges = entry.reserved.numbers.iter().map(|(first, last)| {
            enum_descriptor_proto::EnumReservedRange {
                start: Some(*first),
                end: Some(*last),
            }
        });
        let names = entry.reserved.names.iter();
        let described = EnumDescriptorProto {
            name: Some(name.to_owned()),
            value: values,
            options: entry.deprecated.then(|| EnumOptions {
                deprecated: Some(true),
                ..EnumOptions::default()
            }),
            reserved_range: ranges.collect(),
            reserved_name: names.map(|name| (*name).to_owned()).collect(),
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
                        options: deprecated_field(field.info.deprecated),
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
            described.options = deprecated_field(field.info.deprecated);
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
                    out.nested_type.push(reserving(nested, info.reserved));
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
            field.options = deprecated_field(info.deprecated);
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
                Of::Named(_) => Some(self.reference(self.schema.name_of(value))),
                Of::Scalar(_) => None,
            },
            json_name: Some(camel(name, false)),
            ..FieldDescriptorProto::default()
        }
    }

    /// How a type with this full name is referred to.
    fn reference(&self, name: &str) -> String {
        let package = self.out.package();
        let here = self.unknown == Unknown::Declared && !package.is_empty();
        if here && self.types_not_found().any(|entry| entry.name == name) {
            return format!(".{package}.{name}");
        }
        format!(".{name}")
    }

    /// The types of which it is not known where they are declared.
    fn types_not_found(&self) -> impl Iterator<Item = &TypeEntry> {
        self.schema
            .types()
            .iter()
            .filter(|entry| matches!(entry.body, Body::External { import: None }))
    }

    /// Imports what is declared elsewhere, as far as it is used, and sees to what is not known.
    fn externals(&mut self) -> Result<(), SchemaError> {
        let mut used = HashSet::new();
        for method in self.out.service.iter().flat_map(|service| &service.method) {
            used.extend([method.input_type(), method.output_type()]);
        }
        types_of(&self.out.message_type, &mut used);
        let schema = self.schema;
        let mut imports = BTreeSet::new();
        for entry in schema.types() {
            if let Body::External {
                import: Some(import),
            } = &entry.body
                && used
                    .iter()
                    .any(|name| name.strip_prefix('.') == Some(&entry.name))
            {
                imports.insert(import.clone());
            }
        }
        self.out.dependency = imports.into_iter().collect();
        let mut detached = Vec::new();
        let not_found: Vec<_> = self
            .types_not_found()
            .map(|it| (it.name.clone(), it.rust.clone()))
            .collect();
        for (name, rust) in not_found {
            match self.unknown {
                Unknown::Refused => return Err(SchemaError::unknown(&rust)),
                Unknown::Named => detached.push(format!(
                    " {name} is declared where prost generated {rust} from: import that file.\n"
                )),
                Unknown::Declared => {
                    self.claim(&name, rust.clone())?;
                    let path = [MESSAGE, place(self.out.message_type.len())];
                    self.comment(
                        &path,
                        &format!(
                            "Stands for what prost generated {rust} from. Its fields are not known here: the service that uses it does not \
                             name a `file_descriptor_set`."
                        ),
                    );
                    self.out.message_type.push(DescriptorProto {
                        name: Some(name),
                        ..DescriptorProto::default()
                    });
                }
            }
        }
        if !detached.is_empty() {
            self.locations.push(Location {
                path: vec![SYNTAX],
                span: vec![0, 0, 0],
                leading_detached_comments: detached,
                ..Location::default()
            });
        }
        Ok(())
    }

    fn comment_below(&mut self, path: &[i32], below: &[i32], docs: &str) {
        self.comment(&[path, below].concat(), docs);
    }

    fn comment(&mut self, path: &[i32], docs: &str) {
        if docs.is_empty() {
            return;
        }
        let comment: String = without_links(docs)
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

/// `demo.v1` makes `demo/v1/demo.proto`: one file for a package, since its services may share messages, and the same one
/// whatever services there are.
fn file_name(package: &str) -> String {
    let is_version = |part: &&str| {
        part.strip_prefix('v')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let parts: Vec<&str> = package.split('.').filter(|part| !part.is_empty()).collect();
    let name = parts.iter().rev().find(|part| !is_version(part));
    let name = name.or_else(|| parts.last()).unwrap_or(&"services");
    let folder: String = parts.iter().map(|part| format!("{part}/")).collect();
    format!("{folder}{name}.proto")
}

/// The types of all fields.
fn types_of<'a>(messages: &'a [DescriptorProto], out: &mut HashSet<&'a str>) {
    for message in messages {
        let named = message
            .field
            .iter()
            .filter_map(|field| field.type_name.as_deref());
        out.extend(named);
        types_of(&message.nested_type, out);
    }
}

/// The message with what it reserves.
fn reserving(message: DescriptorProto, reserved: Reserved) -> DescriptorProto {
    let ranges = reserved.numbers.iter().map(|(first, last)| {
        // Protobuf leaves the end out here, and not in enums.
        descriptor_proto::ReservedRange {
            start: Some(*first),
            end: Some(last.saturating_add(1)),
        }
    });
    DescriptorProto {
        reserved_range: ranges.collect(),
        reserved_name: reserved
            .names
            .iter()
            .map(|name| (*name).to_owned())
            .collect(),
        ..message
    }
}

fn deprecated_field(is: bool) -> Option<FieldOptions> {
    is.then(|| FieldOptions {
        deprecated: Some(true),
        ..FieldOptions::default()
    })
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
