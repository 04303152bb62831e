//! The attributes that only our derive understands, and how one is found.

use syn::Attribute;

use super::errors::Errors;

/// The attribute with this name.
pub(super) fn find<'a>(attrs: &'a [Attribute], name: &str) -> Option<&'a Attribute> {
    attrs
        .iter()
        .find(|attribute| attribute.path().is_ident(name))
}

/// The attribute with this name, which has no arguments.
pub(super) fn flag<'a>(
    attrs: &'a [Attribute],
    name: &str,
    errors: &mut Errors,
) -> Option<&'a Attribute> {
    let attribute = find(attrs, name)?;
    if attribute.meta.require_path_only().is_err() {
        errors.add_at(
            attribute,
            format!("this attribute has no arguments: write `#[{name}]`"),
        );
    }
    Some(attribute)
}

/// Whether the attribute is for our derive alone.
pub(super) fn is_helper(attribute: &Attribute) -> bool {
    HELPERS
        .iter()
        .any(|helper| attribute.path().is_ident(helper))
}

const HELPERS: [&str; 6] = [
    "tag",
    "unknown",
    "prost",
    "within",
    "reserved",
    "proto_name",
];
