//! Recognises the types that mean something here: `Result`, `Streaming`, `&Context`; and what cannot be sent. A macro sees names
//! and no types, so a name is all that counts: the last one of a path.

use syn::{
    GenericArgument, PathArguments, PathSegment, Type, TypeImplTrait, TypePath, TypeReference,
    visit::{self, Visit},
};

use crate::errors::Errors;

/// The type without parentheses and invisible groups around it.
pub(super) fn peel(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => peel(&group.elem),
        Type::Paren(paren) => peel(&paren.elem),
        ty => ty,
    }
}

/// The last segment of a path, if its name is this.
pub(super) fn named<'a>(ty: &'a Type, name: &str) -> Option<&'a PathSegment> {
    match peel(ty) {
        Type::Path(TypePath { path, .. }) => path.segments.last().filter(|last| last.ident == name),
        _ => None,
    }
}

/// Whether the type looks like one that is no message with fields of its own. Under another name it is not seen.
pub(super) fn is_scalar(ty: &Type) -> bool {
    SCALARS.iter().any(|name| named(ty, name).is_some())
}

/// The scalars that prost has messages for.
const SCALARS: [&str; 10] = [
    "String", "Vec", "Bytes", "bool", "i32", "i64", "u32", "u64", "f32", "f64",
];

/// The type arguments of a segment.
pub(super) fn arguments(segment: &PathSegment) -> Vec<&Type> {
    match &segment.arguments {
        PathArguments::AngleBracketed(arguments) => arguments
            .args
            .iter()
            .filter_map(|argument| match argument {
                GenericArgument::Type(ty) => Some(ty),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// `T` of `Streaming<T, E>`; `Some(None)` where it is left out.
pub(super) fn stream(ty: &Type) -> Option<Option<&Type>> {
    named(ty, "Streaming").map(|segment| arguments(segment).first().copied())
}

/// The item of a `Streaming<T>`.
pub(super) fn item(ty: &Type, errors: &Errors) -> Option<Type> {
    match stream(ty)? {
        Some(item) => {
            check_sent(item, "an item", errors);
            Some(item.clone())
        }
        None => {
            errors.at(
                ty,
                "the stream does not say what it carries: write `Streaming<T>`",
            );
            None
        }
    }
}

pub(super) fn is_unit(ty: &Type) -> bool {
    matches!(peel(ty), Type::Tuple(tuple) if tuple.elems.is_empty())
}

/// Reports what cannot cross a network in a type: the first that is found, since one is enough to explain.
pub(super) fn check_sent(ty: &Type, what: &str, errors: &Errors) {
    let mut visitor = Sent {
        what,
        errors,
        done: false,
    };
    visitor.visit_type(ty);
}

struct Sent<'a> {
    what: &'a str,
    errors: &'a Errors,
    done: bool,
}

impl Sent<'_> {
    fn report(&mut self, tokens: impl quote::ToTokens, message: std::fmt::Arguments<'_>) {
        if !self.done {
            self.errors.at(tokens, message);
            self.done = true;
        }
    }
}

impl<'ast> Visit<'ast> for Sent<'_> {
    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        let what = self.what;
        match owned(&reference.elem) {
            Some(owned) => self.report(
                reference,
                format_args!("{what} cannot be borrowed, it is sent: write `{owned}`"),
            ),
            None => self.report(
                reference,
                format_args!("{what} cannot be borrowed, it is sent: write the owned type"),
            ),
        }
    }

    fn visit_lifetime(&mut self, lifetime: &'ast syn::Lifetime) {
        let what = self.what;
        self.report(
            lifetime,
            format_args!("{what} cannot be borrowed, it is sent: write an owned type"),
        );
    }

    fn visit_type_impl_trait(&mut self, ty: &'ast TypeImplTrait) {
        let what = self.what;
        self.report(
            ty,
            format_args!("{what} needs one concrete type, so that both sides know its encoding: write the type (a stream is `Streaming<T>`)"),
        );
    }

    fn visit_type_path(&mut self, ty: &'ast TypePath) {
        let what = self.what;
        if ty
            .path
            .segments
            .first()
            .is_some_and(|first| first.ident == "Self")
        {
            self.report(
                ty,
                format_args!("{what} cannot be `Self`, which is another type on each side: write a message type"),
            );
        } else if ty
            .path
            .segments
            .last()
            .is_some_and(|last| last.ident == "Streaming")
        {
            self.report(
                ty,
                format_args!("{what} cannot have a stream inside: `Streaming<T>` is an argument or a result of its own"),
            );
        } else {
            visit::visit_type_path(self, ty);
        }
    }
}

/// What to write instead of a reference to this.
pub(super) fn owned(ty: &Type) -> Option<String> {
    match peel(ty) {
        Type::Path(path) => {
            let segment = path.path.segments.last()?;
            Some(match segment.ident.to_string().as_str() {
                "str" => "String".to_owned(),
                _ => printed(ty),
            })
        }
        Type::Slice(slice) => Some(format!("Vec<{}>", printed(&slice.elem))),
        Type::Tuple(_) | Type::Array(_) => Some(printed(ty)),
        _ => None,
    }
}

/// A type as people write it.
pub(super) fn printed(ty: &Type) -> String {
    let mut out = String::new();
    for token in quote::quote!(#ty).to_string().split(' ') {
        let glued = out.is_empty()
            || out.ends_with(['<', ':', '(', '[', '&'])
            || token.starts_with(['<', '>', ':', ',', ')', ']', ';']);
        if !glued {
            out.push(' ');
        }
        out.push_str(token);
    }
    out
}
