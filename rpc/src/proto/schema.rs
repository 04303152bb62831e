//! [`Schema`]: the types that a service's messages are made of, each once. What is made of it, descriptors, text and a
//! fingerprint, lies elsewhere.

use std::{
    any::{TypeId, type_name},
    borrow::Cow,
    collections::HashMap,
    sync::Arc,
};

use bytes::Bytes;
use prost_types::field_descriptor_proto::Type;

use super::{given::Given, schema_error::SchemaError, wellknown};

/// Describes a message type to a schema; returns its full name there.
pub type Describe = fn(&mut Schema) -> String;

/// The types that a service's messages are made of, in the order in which they were met.
#[derive(Debug, Default)]
pub struct Schema {
    package: String,
    types: Vec<TypeEntry>,
    places: HashMap<TypeId, usize>,
    /// The place of the type that was described last.
    last: usize,
    /// Where types of prost are looked up, and the first that was not found.
    given: Option<Arc<Given>>,
    missing: Option<SchemaError>,
}

/// A field as `#[message]` found it.
#[derive(Debug)]
pub struct FieldInfo {
    /// The name, in the protobuf style that Rust shares.
    pub name: &'static str,
    /// The doc comment.
    pub docs: &'static str,
    /// The number on the wire.
    pub tag: u32,
    /// What it holds.
    pub field_type: fn(&mut Schema) -> FieldType,
    /// Whether it is there for older peers only.
    pub deprecated: bool,
}

impl FieldInfo {
    /// A field that is not deprecated.
    #[must_use]
    pub const fn new(
        name: &'static str,
        docs: &'static str,
        tag: u32,
        field_type: fn(&mut Schema) -> FieldType,
    ) -> Self {
        Self {
            name,
            docs,
            tag,
            field_type,
            deprecated: false,
        }
    }

    /// The same, as `#[deprecated]` says.
    #[must_use]
    pub const fn deprecated(mut self) -> Self {
        self.deprecated = true;
        self
    }
}

/// A variant of an enum with data as `#[message]` found it.
#[derive(Debug)]
pub struct VariantInfo {
    /// The name in Rust.
    pub name: &'static str,
    /// The name of the field of the `oneof`.
    pub field: &'static str,
    /// The doc comment.
    pub docs: &'static str,
    /// The number on the wire.
    pub tag: u32,
    /// What it holds.
    pub payload: VariantPayload,
    /// What its fields must not be, if it has some.
    pub reserved: Reserved,
    /// Whether it is there for older peers only.
    pub deprecated: bool,
}

impl VariantInfo {
    /// A variant that is not deprecated.
    #[must_use]
    pub const fn new(
        name: &'static str,
        field: &'static str,
        docs: &'static str,
        tag: u32,
        payload: VariantPayload,
    ) -> Self {
        Self {
            name,
            field,
            docs,
            tag,
            payload,
            reserved: Reserved::NOTHING,
            deprecated: false,
        }
    }

    /// The same, as `#[reserved(..)]` says.
    #[must_use]
    pub const fn reserved(
        mut self,
        numbers: &'static [(i32, i32)],
        names: &'static [&'static str],
    ) -> Self {
        self.reserved = Reserved { numbers, names };
        self
    }

    /// The same, as `#[deprecated]` says.
    #[must_use]
    pub const fn deprecated(mut self) -> Self {
        self.deprecated = true;
        self
    }
}

/// What a variant of an enum with data holds.
#[derive(Debug)]
pub enum VariantPayload {
    /// One value, or `()` for none.
    Value(fn(&mut Schema) -> ValueType),
    /// Fields with names: a message of its own, nested in the enum's.
    Fields(&'static [FieldInfo]),
}

/// A user's type as `#[message]` found it.
#[derive(Debug)]
pub struct TypeInfo {
    /// The name, without a package; that of a message before it, and a dot, if it is declared within one.
    pub name: &'static str,
    /// The doc comment.
    pub docs: &'static str,
    /// What it is made of.
    pub body: TypeBody,
    /// What its fields or variants must not be.
    pub reserved: Reserved,
    /// Whether it is there for older peers only.
    pub deprecated: bool,
}

impl TypeInfo {
    /// A type that reserves nothing and is not deprecated.
    #[must_use]
    pub const fn new(name: &'static str, docs: &'static str, body: TypeBody) -> Self {
        Self {
            name,
            docs,
            body,
            reserved: Reserved::NOTHING,
            deprecated: false,
        }
    }

    /// The same, as `#[reserved(..)]` says.
    #[must_use]
    pub const fn reserved(
        mut self,
        numbers: &'static [(i32, i32)],
        names: &'static [&'static str],
    ) -> Self {
        self.reserved = Reserved { numbers, names };
        self
    }

    /// The same, as `#[deprecated]` says.
    #[must_use]
    pub const fn deprecated(mut self) -> Self {
        self.deprecated = true;
        self
    }
}

/// What must not be used again, since older peers still use it.
#[derive(Clone, Copy, Debug)]
pub struct Reserved {
    /// The first and the last of each range of numbers.
    pub numbers: &'static [(i32, i32)],
    /// The names.
    pub names: &'static [&'static str],
}

impl Reserved {
    /// Nothing was removed yet.
    pub const NOTHING: Self = Self {
        numbers: &[],
        names: &[],
    };
}

/// What a user's type is made of.
#[derive(Debug)]
pub enum TypeBody {
    /// A struct.
    Message(&'static [FieldInfo]),
    /// An enum with data: a message with one `oneof`.
    Oneof {
        /// How the `oneof` is called.
        name: &'static str,
        /// The variants, but for the one with `#[unknown]`.
        variants: &'static [VariantInfo],
        /// The place among the variants of the one with `#[unknown]`.
        unknown: Option<usize>,
    },
    /// An enum without data.
    Enum {
        /// The variants, but for the one with `#[unknown]`.
        numbers: &'static [NumberInfo],
        /// The place among the variants of the one with `#[unknown]`.
        unknown: usize,
    },
}

/// A variant of an enum without data as `#[message]` found it.
#[derive(Debug)]
pub struct NumberInfo {
    /// The name in protobuf, such as `COLOR_RED`.
    pub name: &'static str,
    /// The doc comment.
    pub docs: &'static str,
    /// The number on the wire.
    pub number: i32,
    /// Whether it is there for older peers only.
    pub deprecated: bool,
}

impl NumberInfo {
    /// A variant that is not deprecated.
    #[must_use]
    pub const fn new(name: &'static str, docs: &'static str, number: i32) -> Self {
        Self {
            name,
            docs,
            number,
            deprecated: false,
        }
    }

    /// The same, as `#[deprecated]` says.
    #[must_use]
    pub const fn deprecated(mut self) -> Self {
        self.deprecated = true;
        self
    }
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// One value, always.
    Singular(ValueType),
    /// One value or none.
    Optional(ValueType),
    /// Any number of values.
    Repeated(ValueType),
    /// Values by key.
    Map(ValueType, ValueType),
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueType {
    pub(super) proto: Type,
    pub(super) of: Of,
}

/// What a value is beyond its protobuf type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// A scalar, by its name in Rust.
    Scalar(&'static str),
    /// A message or an enum, by its place in the schema.
    Named(usize),
}

impl ValueType {
    /// A scalar: how protobuf calls it, and how Rust does.
    pub(super) const fn scalar(proto: Type, rust: &'static str) -> Self {
        Self {
            proto,
            of: Of::Scalar(rust),
        }
    }

    const fn named(proto: Type, place: usize) -> Self {
        Self {
            proto,
            of: Of::Named(place),
        }
    }
}

/// A type of a schema.
#[derive(Debug)]
pub(super) struct TypeEntry {
    /// The full name, without a leading dot.
    pub(super) name: String,
    /// The type in Rust, or what it stands for, for error messages.
    pub(super) rust: Cow<'static, str>,
    pub(super) docs: Cow<'static, str>,
    pub(super) reserved: Reserved,
    pub(super) deprecated: bool,
    pub(super) body: Body,
}

/// What a type of a schema is made of.
#[derive(Debug)]
pub(super) enum Body {
    /// Not described yet: it holds itself.
    Pending,
    Message(Vec<Field>),
    Oneof {
        name: &'static str,
        variants: Vec<Variant>,
        unknown: Option<usize>,
    },
    Enum {
        numbers: &'static [NumberInfo],
        unknown: usize,
    },
    /// Declared in another file, which is not known for what prost generated from somewhere.
    External {
        import: Option<String>,
    },
    /// What a method takes or answers where that is a scalar, or nothing.
    Wrapper(Option<WrappedField>),
}

/// The one field of a message that is made of a scalar.
#[derive(Clone, Copy, Debug)]
pub(super) struct WrappedField {
    pub(super) name: &'static str,
    pub(super) docs: &'static str,
    pub(super) of: Type,
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) info: &'static FieldInfo,
    pub(super) of: FieldType,
}

#[derive(Debug)]
pub(super) struct Variant {
    pub(super) info: &'static VariantInfo,
    pub(super) payload: Payload,
}

#[derive(Debug)]
pub(super) enum Payload {
    Value(ValueType),
    Fields(Vec<Field>),
}

impl Schema {
    /// An empty schema; the types that are declared in it belong to this package, which may be empty.
    #[must_use]
    pub fn new(package: impl Into<String>) -> Self {
        Self {
            package: package.into(),
            ..Self::default()
        }
    }

    /// From here on, types of prost are looked up in this descriptor set.
    pub(super) fn look_up_in(&mut self, given: Option<Arc<Given>>) {
        self.given = given;
    }

    /// Whether all types of prost were found where they were looked up.
    pub(super) fn all_found(&mut self) -> Result<(), SchemaError> {
        self.missing.take().map_or(Ok(()), Err)
    }

    /// All types, in the order in which they were met.
    pub(super) fn types(&self) -> &[TypeEntry] {
        &self.types
    }

    /// The message that an enum is declared within.
    pub(super) fn outer<'a>(&self, entry: &'a TypeEntry) -> Option<&'a str> {
        if !matches!(entry.body, Body::Enum { .. }) {
            return None;
        }
        let name = match self.package.as_str() {
            "" => &entry.name,
            package => entry.name.strip_prefix(package)?.strip_prefix('.')?,
        };
        name.rsplit_once('.').map(|(outer, _)| outer)
    }

    /// The full name of a type that is no scalar.
    #[must_use]
    pub fn name_of(&self, value: ValueType) -> &str {
        match value.of {
            Of::Named(place) => &self.types[place].name,
            Of::Scalar(rust) => rust,
        }
    }

    /// Declares a user's type, and with it all types that it is made of.
    pub fn declare<T: 'static>(&mut self, info: &'static TypeInfo) -> ValueType {
        let proto = match info.body {
            TypeBody::Message(_) | TypeBody::Oneof { .. } => Type::Message,
            TypeBody::Enum { .. } => Type::Enum,
        };
        if let Some(&place) = self.places.get(&TypeId::of::<T>()) {
            self.last = place;
            return ValueType::named(proto, place);
        }
        let place = self.add::<T>(self.full_name(info.name), info.docs, Body::Pending);
        self.types[place].reserved = info.reserved;
        self.types[place].deprecated = info.deprecated;
        self.types[place].body = match info.body {
            TypeBody::Message(fields) => Body::Message(self.fields(fields)),
            TypeBody::Oneof {
                name,
                variants,
                unknown,
            } => Body::Oneof {
                name,
                variants: variants
                    .iter()
                    .map(|info| Variant {
                        info,
                        payload: match info.payload {
                            VariantPayload::Value(value_type) => Payload::Value(value_type(self)),
                            VariantPayload::Fields(fields) => Payload::Fields(self.fields(fields)),
                        },
                    })
                    .collect(),
                unknown,
            },
            TypeBody::Enum { numbers, unknown } => Body::Enum { numbers, unknown },
        };
        // Behind the types that it is made of.
        self.last = place;
        ValueType::named(proto, place)
    }

    /// Declares one of protobuf's own types, such as `Duration`.
    pub(super) fn well_known<T: 'static>(&mut self, name: &str) -> ValueType {
        let name = format!("google.protobuf.{name}");
        let import = wellknown::file_of(&name).map(str::to_owned);
        self.external::<T>(name, import)
    }

    /// Declares what a method takes or answers, if that is a scalar or nothing, as a message of the method's own; answers its full
    /// name, or `described` if there is no need.
    ///
    /// The bytes are those of protobuf's wrapper for the scalar. But nothing can ever be added to a wrapper, and a field of one's own has
    /// a name.
    pub(super) fn wrap(
        &mut self,
        described: String,
        name: &str,
        what: String,
        field: (&'static str, &'static str),
    ) -> String {
        let Some(scalar) = wellknown::wrapped(&described) else {
            return described;
        };
        let (field, docs) = field;
        let full_name = self.full_name(name);
        self.types.push(TypeEntry {
            name: full_name.clone(),
            docs: format!("{}{}.", what[..1].to_uppercase(), &what[1..]).into(),
            rust: what.into(),
            reserved: Reserved::NOTHING,
            deprecated: false,
            body: Body::Wrapper(scalar.map(|of| WrappedField {
                name: field,
                docs,
                of,
            })),
        });
        full_name
    }

    fn full_name(&self, name: &str) -> String {
        if self.package.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.package)
        }
    }

    /// Declares a type that prost generated, or one of prost's scalars, as the wrapper that protobuf has for it.
    pub(crate) fn prost<T: 'static>(&mut self) -> ValueType {
        let wrappers = [
            (TypeId::of::<bool>(), "BoolValue"),
            (TypeId::of::<i32>(), "Int32Value"),
            (TypeId::of::<i64>(), "Int64Value"),
            (TypeId::of::<u32>(), "UInt32Value"),
            (TypeId::of::<u64>(), "UInt64Value"),
            (TypeId::of::<f32>(), "FloatValue"),
            (TypeId::of::<f64>(), "DoubleValue"),
            (TypeId::of::<String>(), "StringValue"),
            (TypeId::of::<Vec<u8>>(), "BytesValue"),
            (TypeId::of::<Bytes>(), "BytesValue"),
            (TypeId::of::<()>(), "Empty"),
        ];
        let wrapper = wrappers.iter().find(|(id, _)| *id == TypeId::of::<T>());
        if let Some((_, name)) = wrapper {
            return self.well_known::<T>(name);
        }
        // Prost says nothing of the name but in Rust, where the last part of the path is the same.
        let path = type_name::<T>();
        let name = path.rsplit("::").next().unwrap_or(path);
        if path.starts_with("prost_types::") {
            return self.well_known::<T>(name);
        }
        match self.given.as_ref().map(|given| given.message(path)) {
            None => self.external::<T>(name.to_owned(), None),
            Some(Ok((name, file))) => {
                let file = file.to_owned();
                self.external::<T>(name, Some(file))
            }
            Some(Err(error)) => {
                self.missing.get_or_insert(error);
                self.external::<T>(name.to_owned(), None)
            }
        }
    }

    /// Declares a type that another file declares.
    fn external<T: 'static>(&mut self, name: String, import: Option<String>) -> ValueType {
        let place = match self.places.get(&TypeId::of::<T>()) {
            Some(&place) => place,
            None => self.add::<T>(name, "", Body::External { import }),
        };
        self.last = place;
        ValueType::named(Type::Message, place)
    }

    fn add<T: 'static>(&mut self, name: String, docs: &'static str, body: Body) -> usize {
        let place = self.types.len();
        self.types.push(TypeEntry {
            name,
            rust: type_name::<T>().into(),
            docs: docs.into(),
            reserved: Reserved::NOTHING,
            deprecated: false,
            body,
        });
        self.places.insert(TypeId::of::<T>(), place);
        place
    }

    fn fields(&mut self, fields: &'static [FieldInfo]) -> Vec<Field> {
        fields
            .iter()
            .map(|info| Field {
                info,
                of: (info.field_type)(self),
            })
            .collect()
    }

    /// Where the type is that was described last, as the canonical text says it. Its name may be that of another type too.
    pub(crate) fn last_place(&self) -> String {
        format!("#{}", self.last)
    }

    /// Appends what postcard and protobuf depend on: the order of declaration, Rust types, tags. Without names.
    pub(crate) fn canonical(&self, out: &mut String) {
        // The wrapper that these are under protobuf, another type may be too.
        let opaque = [TypeId::of::<Bytes>(), TypeId::of::<Vec<u8>>()]
            .map(|id| self.places.get(&id).copied());
        for (place, entry) in self.types.iter().enumerate() {
            out.push_str(&format!("#{place} "));
            match &entry.body {
                Body::Pending => {}
                Body::Message(fields) => out.push_str(&format!("struct {}", canonical(fields))),
                Body::Oneof {
                    variants, unknown, ..
                } => {
                    let variants = variants.iter().map(|variant| {
                        let payload = match &variant.payload {
                            Payload::Value(value) => value.canonical(),
                            Payload::Fields(fields) => canonical(fields),
                        };
                        format!("{} {payload}", variant.info.tag)
                    });
                    out.push_str(&format!("oneof {}", braces(variants)));
                    if let Some(unknown) = unknown {
                        out.push_str(&format!(" none at {unknown}"));
                    }
                }
                Body::Enum { numbers, unknown } => {
                    let numbers = numbers.iter().map(|number| number.number.to_string());
                    out.push_str(&format!("enum {} other at {unknown}", braces(numbers)));
                }
                Body::External { .. } if opaque.contains(&Some(place)) => out.push_str("opaque"),
                Body::External { .. } | Body::Wrapper(_) => out.push_str(&entry.name),
            }
            out.push('\n');
        }
    }
}

impl ValueType {
    fn canonical(self) -> String {
        match self.of {
            Of::Scalar(rust) => rust.to_owned(),
            Of::Named(place) => format!("#{place}"),
        }
    }
}

fn canonical(fields: &[Field]) -> String {
    braces(fields.iter().map(|field| {
        let of = match field.of {
            FieldType::Singular(value) => value.canonical(),
            FieldType::Optional(value) => format!("{}?", value.canonical()),
            FieldType::Repeated(value) => format!("[{}]", value.canonical()),
            FieldType::Map(key, value) => {
                format!("{{{}: {}}}", key.canonical(), value.canonical())
            }
        };
        format!("{} {of}", field.info.tag)
    }))
}

fn braces(parts: impl Iterator<Item = String>) -> String {
    format!("{{ {} }}", parts.collect::<Vec<_>>().join(", "))
}
