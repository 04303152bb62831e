//! What of a value of one type is read as another: by the wire type first, and within one by the values.

use prost_types::field_descriptor_proto::Type;

use super::breaks::Whom;

/// What becomes of a value whose type was `old` for those who know it as `new`, and the other way round; `None` if nothing does.
///
/// Messages and enums are compared by their names elsewhere.
pub(super) fn change(old: Type, new: Type) -> Option<(Whom, String)> {
    use Type::{Bool, Bytes, Enum, Int32, Int64, String, Uint32, Uint64};
    if old == new {
        return None;
    }
    if wire(old) != wire(new) {
        return Some((
            Whom::Running,
            format!(
                "the bytes are of another kind ({} and {}): whoever knows the other type skips the field, or refuses the message",
                wire(old),
                wire(new)
            ),
        ));
    }
    let running = |effect: &str| Some((Whom::Running, effect.to_owned()));
    match (old, new) {
        (Int32 | Int64 | Uint32 | Uint64, Int32 | Int64 | Uint32 | Uint64) => Some((
            Whom::Running,
            format!(
                "the bytes are of one kind, and values that both types have are read right; but {}",
                beyond(old, new)
            ),
        )),
        (Bool, _) | (_, Bool) => {
            running("the bytes are of one kind, but every number except 0 is read as true, and true as 1")
        }
        (Enum, Int32) | (Int32, Enum) => Some((
            Whom::Text,
            "the bytes are the same, but text has the name of a value where the other side has a number".to_owned(),
        )),
        (Enum, _) | (_, Enum) => {
            running("the bytes are of one kind, but values of an enum have 32 bits with a sign")
        }
        (Bytes, String) | (String, Bytes) => running(
            "the bytes are of one kind, but what is not UTF-8 is refused by whoever knows a string, and in JSON bytes are base64",
        ),
        (Type::Fixed32 | Type::Sfixed32, _)
        | (Type::Fixed64 | Type::Sfixed64, _)
        | (Type::Sint32 | Type::Sint64, _) => running(
            "the bytes are of one kind, but values that only one of the types has are read as others",
        ),
        _ => running("the bytes are of one kind, but mean something else"),
    }
}

/// What happens to numbers that only one of the types has.
fn beyond(old: Type, new: Type) -> &'static str {
    let bits = |of| {
        if matches!(of, Type::Int32 | Type::Uint32) {
            32
        } else {
            64
        }
    };
    if bits(old) == bits(new) {
        "negative numbers and very large ones are read as each other"
    } else {
        "what does not fit in 32 bits is cut by the side with the smaller type"
    }
}

/// How values of a type lie on the wire.
fn wire(of: Type) -> &'static str {
    match of {
        Type::Int32 | Type::Int64 | Type::Uint32 | Type::Uint64 | Type::Bool | Type::Enum => {
            "varint"
        }
        Type::Sint32 | Type::Sint64 => "zigzag varint",
        Type::Fixed32 | Type::Sfixed32 => "fixed 32 bits",
        Type::Fixed64 | Type::Sfixed64 => "fixed 64 bits",
        Type::Float => "a float of 32 bits",
        Type::Double => "a float of 64 bits",
        Type::String | Type::Bytes => "bytes with a length",
        Type::Message => "a message",
        Type::Group => "a group",
    }
}

/// How a `.proto` calls a type that is no message and no enum.
pub(super) fn name(of: Type) -> &'static str {
    match of {
        Type::Double => "double",
        Type::Float => "float",
        Type::Int64 => "int64",
        Type::Uint64 => "uint64",
        Type::Int32 => "int32",
        Type::Fixed64 => "fixed64",
        Type::Fixed32 => "fixed32",
        Type::Bool => "bool",
        Type::String => "string",
        Type::Bytes => "bytes",
        Type::Uint32 => "uint32",
        Type::Sfixed32 => "sfixed32",
        Type::Sfixed64 => "sfixed64",
        Type::Sint32 => "sint32",
        Type::Sint64 => "sint64",
        Type::Message => "message",
        Type::Group => "group",
        Type::Enum => "enum",
    }
}

/// Whether a list of it lies in one piece, all values behind one length.
pub(super) fn packs(of: Type) -> bool {
    !matches!(of, Type::String | Type::Bytes | Type::Message | Type::Group)
}
