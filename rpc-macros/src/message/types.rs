//! What a macro sees of the type of a field: names. No message has parameters, so what is named as a container and has some is one.

use syn::{GenericArgument, Ident, PathArguments, Type};

/// A type that is a field and no single value: `Option`, `Vec` but of bytes, a map.
pub(super) struct Container<'a> {
    pub(super) ident: &'a Ident,
    arguments: Vec<&'a Type>,
}

impl<'a> Container<'a> {
    pub(super) fn of(ty: &'a Type) -> Option<Self> {
        let Type::Path(path) = ty else { return None };
        let last = path.path.segments.last()?;
        let PathArguments::AngleBracketed(arguments) = &last.arguments else {
            return None;
        };
        let arguments: Vec<&Type> = arguments
            .args
            .iter()
            .filter_map(|argument| match argument {
                GenericArgument::Type(ty) => Some(ty),
                _ => None,
            })
            .collect();
        let is_bytes = last.ident == "Vec"
            && matches!(arguments[..], [Type::Path(byte)] if byte.path.is_ident("u8"));
        let is_container = ["Option", "Vec", "HashMap", "BTreeMap"]
            .iter()
            .any(|name| last.ident == name);
        (is_container && !is_bytes).then_some(Self {
            ident: &last.ident,
            arguments,
        })
    }

    /// The containers that are directly in this one, and where they are written.
    pub(super) fn nested(&self) -> impl Iterator<Item = (&'a Type, Self)> {
        self.arguments
            .iter()
            .filter_map(|ty| Some((*ty, Self::of(ty)?)))
    }
}
