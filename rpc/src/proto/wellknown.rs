//! The files of protobuf's own types, as far as fields and wrappers name them.

use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    field_descriptor_proto::{Label, Type},
};

/// The file with this name, such as `google/protobuf/duration.proto`.
pub(super) fn file(name: &str) -> Option<FileDescriptorProto> {
    let messages: &[(&str, &[(&str, Type)])] = match name {
        "google/protobuf/duration.proto" => &[("Duration", SECONDS_AND_NANOS)],
        "google/protobuf/timestamp.proto" => &[("Timestamp", SECONDS_AND_NANOS)],
        "google/protobuf/empty.proto" => &[("Empty", &[])],
        "google/protobuf/any.proto" => {
            &[("Any", &[("type_url", Type::String), ("value", Type::Bytes)])]
        }
        "google/protobuf/wrappers.proto" => &[
            ("DoubleValue", &[("value", Type::Double)]),
            ("FloatValue", &[("value", Type::Float)]),
            ("Int64Value", &[("value", Type::Int64)]),
            ("UInt64Value", &[("value", Type::Uint64)]),
            ("Int32Value", &[("value", Type::Int32)]),
            ("UInt32Value", &[("value", Type::Uint32)]),
            ("BoolValue", &[("value", Type::Bool)]),
            ("StringValue", &[("value", Type::String)]),
            ("BytesValue", &[("value", Type::Bytes)]),
        ],
        _ => return None,
    };
    Some(FileDescriptorProto {
        name: Some(name.to_owned()),
        package: Some("google.protobuf".to_owned()),
        message_type: messages.iter().map(message).collect(),
        syntax: Some("proto3".to_owned()),
        ..FileDescriptorProto::default()
    })
}

const SECONDS_AND_NANOS: &[(&str, Type)] = &[("seconds", Type::Int64), ("nanos", Type::Int32)];

fn message((name, fields): &(&str, &[(&str, Type)])) -> DescriptorProto {
    DescriptorProto {
        name: Some((*name).to_owned()),
        field: fields
            .iter()
            .zip(1..)
            .map(|((name, field_type), number)| FieldDescriptorProto {
                name: Some((*name).to_owned()),
                number: Some(number),
                label: Some(Label::Optional.into()),
                r#type: Some((*field_type).into()),
                json_name: Some(if *name == "type_url" { "typeUrl" } else { name }.to_owned()),
                ..FieldDescriptorProto::default()
            })
            .collect(),
        ..DescriptorProto::default()
    }
}
