//! The files of protobuf's own types, as far as fields and wrappers name them.

use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto,
    FileDescriptorProto, FileOptions, MessageOptions, OneofDescriptorProto,
    field_descriptor_proto::{Label, Type},
};

/// The file in which the type with this full name is, such as `google.protobuf.Duration`.
pub(super) fn file_of(full_name: &str) -> Option<&'static str> {
    let name = full_name.strip_prefix("google.protobuf.")?;
    let declares = |(_, messages): &&(&str, Messages)| messages.iter().any(|(it, _)| *it == name);
    match name {
        "Struct" | "Value" | "ListValue" => Some(STRUCT),
        _ => FILES.iter().find(declares).map(|(file, _)| *file),
    }
}

/// The scalar in a wrapper, or none for `Empty`; `None` if it is neither.
pub(super) fn wrapped(full_name: &str) -> Option<Option<Type>> {
    match (file_of(full_name)?, full_name) {
        (WRAPPERS, name) => {
            let name = name.strip_prefix("google.protobuf.")?;
            let wrapper = WRAPPED.iter().find(|(it, _)| *it == name);
            wrapper.map(|(_, fields)| fields.first().map(|(_, scalar)| *scalar))
        }
        (_, "google.protobuf.Empty") => Some(None),
        _ => None,
    }
}

/// The file with this name, such as `google/protobuf/duration.proto`.
pub(super) fn file(name: &str) -> Option<FileDescriptorProto> {
    let file = if name == STRUCT {
        structs()
    } else {
        let (_, messages) = FILES.iter().find(|(file, _)| *file == name)?;
        FileDescriptorProto {
            message_type: messages.iter().map(message).collect(),
            ..FileDescriptorProto::default()
        }
    };
    Some(FileDescriptorProto {
        name: Some(name.to_owned()),
        package: Some("google.protobuf".to_owned()),
        syntax: Some("proto3".to_owned()),
        options: Some(options(name)),
        ..file
    })
}

/// Where other languages have what they generated from a file.
fn options(file: &str) -> FileOptions {
    let (_, name) = file.rsplit_once('/').unwrap_or(("", file));
    let words = name.trim_end_matches(".proto").split('_');
    let mut class = String::new();
    for word in words.clone() {
        let (first, rest) = word.split_at(1);
        class.push_str(&first.to_uppercase());
        class.push_str(rest);
    }
    let go: String = words.collect();
    FileOptions {
        java_package: Some("com.google.protobuf".to_owned()),
        java_outer_classname: Some(format!("{class}Proto")),
        java_multiple_files: Some(true),
        go_package: Some(format!("google.golang.org/protobuf/types/known/{go}pb")),
        cc_enable_arenas: (name != "any.proto").then_some(true),
        objc_class_prefix: Some("GPB".to_owned()),
        csharp_namespace: Some("Google.Protobuf.WellKnownTypes".to_owned()),
        ..FileOptions::default()
    }
}

type Messages = &'static [(&'static str, &'static [(&'static str, Type)])];

const FILES: &[(&str, Messages)] = &[
    ("google/protobuf/duration.proto", &[("Duration", TIME)]),
    ("google/protobuf/timestamp.proto", &[("Timestamp", TIME)]),
    ("google/protobuf/empty.proto", &[("Empty", &[])]),
    (
        "google/protobuf/any.proto",
        &[("Any", &[("type_url", Type::String), ("value", Type::Bytes)])],
    ),
    (
        "google/protobuf/field_mask.proto",
        &[("FieldMask", &[("paths", Type::String)])],
    ),
    (WRAPPERS, WRAPPED),
];

const TIME: &[(&str, Type)] = &[("seconds", Type::Int64), ("nanos", Type::Int32)];

const WRAPPERS: &str = "google/protobuf/wrappers.proto";

const WRAPPED: Messages = &[
    ("DoubleValue", &[("value", Type::Double)]),
    ("FloatValue", &[("value", Type::Float)]),
    ("Int64Value", &[("value", Type::Int64)]),
    ("UInt64Value", &[("value", Type::Uint64)]),
    ("Int32Value", &[("value", Type::Int32)]),
    ("UInt32Value", &[("value", Type::Uint32)]),
    ("BoolValue", &[("value", Type::Bool)]),
    ("StringValue", &[("value", Type::String)]),
    ("BytesValue", &[("value", Type::Bytes)]),
];

fn message((name, fields): &(&str, &[(&str, Type)])) -> DescriptorProto {
    DescriptorProto {
        name: Some((*name).to_owned()),
        field: fields
            .iter()
            .zip(1..)
            .map(|((name, scalar), number)| field(name, number, *scalar))
            .collect(),
        ..DescriptorProto::default()
    }
}

fn field(name: &str, number: i32, scalar: Type) -> FieldDescriptorProto {
    let json_name = match name {
        "type_url" => "typeUrl",
        "null_value" => "nullValue",
        "number_value" => "numberValue",
        "string_value" => "stringValue",
        "bool_value" => "boolValue",
        "struct_value" => "structValue",
        "list_value" => "listValue",
        name => name,
    };
    FieldDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        label: Some(match name {
            "paths" | "fields" | "values" => Label::Repeated.into(),
            _ => Label::Optional.into(),
        }),
        r#type: Some(scalar.into()),
        json_name: Some(json_name.to_owned()),
        ..FieldDescriptorProto::default()
    }
}

const STRUCT: &str = "google/protobuf/struct.proto";

/// `Struct`, `Value` and `ListValue`, which hold each other.
fn structs() -> FileDescriptorProto {
    let named = |field: FieldDescriptorProto, name: &str| FieldDescriptorProto {
        type_name: Some(format!(".google.protobuf.{name}")),
        ..field
    };
    let entry = DescriptorProto {
        field: vec![
            field("key", 1, Type::String),
            named(field("value", 2, Type::Message), "Value"),
        ],
        options: Some(MessageOptions {
            map_entry: Some(true),
            ..MessageOptions::default()
        }),
        ..message(&("FieldsEntry", &[]))
    };
    let kinds = [
        named(field("null_value", 1, Type::Enum), "NullValue"),
        field("number_value", 2, Type::Double),
        field("string_value", 3, Type::String),
        field("bool_value", 4, Type::Bool),
        named(field("struct_value", 5, Type::Message), "Struct"),
        named(field("list_value", 6, Type::Message), "ListValue"),
    ];
    FileDescriptorProto {
        message_type: vec![
            DescriptorProto {
                field: vec![named(
                    field("fields", 1, Type::Message),
                    "Struct.FieldsEntry",
                )],
                nested_type: vec![entry],
                ..message(&("Struct", &[]))
            },
            DescriptorProto {
                field: kinds
                    .into_iter()
                    .map(|field| FieldDescriptorProto {
                        oneof_index: Some(0),
                        ..field
                    })
                    .collect(),
                oneof_decl: vec![OneofDescriptorProto {
                    name: Some("kind".to_owned()),
                    options: None,
                }],
                ..message(&("Value", &[]))
            },
            DescriptorProto {
                field: vec![named(field("values", 1, Type::Message), "Value")],
                ..message(&("ListValue", &[]))
            },
        ],
        enum_type: vec![EnumDescriptorProto {
            name: Some("NullValue".to_owned()),
            value: vec![EnumValueDescriptorProto {
                name: Some("NULL_VALUE".to_owned()),
                number: Some(0),
                options: None,
            }],
            ..EnumDescriptorProto::default()
        }],
        ..FileDescriptorProto::default()
    }
}
