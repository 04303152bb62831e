//! Reads the arguments of a method: the context, and those that are sent. What those are together is said in `request`.

use syn::{Attribute, FnArg, Ident, Pat, PatType, Signature, Type};

use super::types;
use crate::{attr, errors::Errors};

/// The arguments beside `self`.
pub(super) struct Arguments {
    pub(super) context: Option<Ident>,
    pub(super) others: Vec<Argument>,
}

/// An argument that is sent.
pub(super) struct Argument {
    pub(super) ident: Ident,
    pub(super) ty: Type,
    pub(super) tag: Option<(u32, Attribute)>,
    /// Those that go to the field.
    pub(super) attrs: Vec<Attribute>,
}

/// Reads the arguments, and takes those attributes from the signature that are ours.
pub(super) fn arguments(signature: &mut Signature, has_body: bool, errors: &Errors) -> Arguments {
    let mut out = Arguments {
        context: None,
        others: Vec::new(),
    };
    let mut first = true;
    for input in &mut signature.inputs {
        let FnArg::Typed(argument) = input else {
            continue;
        };
        if is_context(argument, errors) {
            let ident = match &*argument.pat {
                Pat::Wild(wild) => Some(Ident::new("__cx", wild.underscore_token.span)),
                _ => name(argument, has_body, errors),
            };
            if !first {
                let message = if out.context.is_some() {
                    "there is one context: remove the second"
                } else {
                    "the context comes first: move it behind `&self`"
                };
                errors.at(&*argument, message);
            }
            for attr in argument.attrs.iter().filter(|attr| is_ours(attr)) {
                errors.at(attr, "the context is not sent: remove this attribute");
            }
            out.context = out.context.or(ident);
        } else {
            let ident = name(argument, has_body, errors);
            let tag = tag(argument, errors);
            let attrs = argument
                .attrs
                .iter()
                .filter(|attr| is_ours(attr))
                .cloned()
                .collect();
            for attr in &argument.attrs {
                let path = attr.path();
                if path.is_ident("cfg") || path.is_ident("cfg_attr") {
                    errors.at(attr, "an argument cannot come and go, both sides must know it: put `#[cfg]` on the method");
                } else if path.is_ident("rpc") {
                    errors.at(attr, "an argument has no `#[rpc(..)]`: its field number is `#[tag(1)]`, everything else goes on the method");
                }
            }
            if types::stream(&argument.ty).is_none() {
                types::check_sent(&argument.ty, "an argument", errors);
            }
            if let Some(ident) = ident {
                out.others.push(Argument {
                    ident,
                    ty: (*argument.ty).clone(),
                    tag,
                    attrs,
                });
            }
        }
        argument.attrs.retain(|attr| !is_ours(attr));
        first = false;
    }
    out
}

/// Attributes of an argument that do not stay on it, but go to its field in the request.
fn is_ours(attr: &Attribute) -> bool {
    ["tag", "prost", "doc"]
        .iter()
        .any(|name| attr.path().is_ident(name))
}

fn tag(argument: &PatType, errors: &Errors) -> Option<(u32, Attribute)> {
    let mut tags = argument
        .attrs
        .iter()
        .filter(|attr| attr.path().is_ident("tag"));
    let first = tags.next()?;
    if let Some(second) = tags.next() {
        errors.at(second, "an argument has one tag: remove this one");
    }
    attr::tag(first, errors).map(|number| (number, first.clone()))
}

/// The name of an argument: of its field in the request.
fn name(argument: &PatType, has_body: bool, errors: &Errors) -> Option<Ident> {
    if let Pat::Ident(pat) = &*argument.pat
        && let Some(mutability) = &pat.mutability
        && !has_body
    {
        errors.at(
            mutability,
            "`mut` belongs to the implementation: remove it here",
        );
        return Some(pat.ident.clone());
    }
    let message = match &*argument.pat {
        Pat::Ident(pat) if pat.by_ref.is_some() || pat.subpat.is_some() => {
            "an argument is a plain name, that of its field in the request: write `name: Type`"
        }
        Pat::Ident(pat) => return Some(pat.ident.clone()),
        Pat::Wild(_) => {
            "an argument needs a name, that of its field in the request: write `name: Type`"
        }
        _ => {
            "an argument is a plain name, that of its field in the request: write `name: Type`, and take it apart in the implementation"
        }
    };
    errors.at(&argument.pat, message);
    None
}

/// Whether the argument is `&Context`; a context in another form is reported.
fn is_context(argument: &PatType, errors: &Errors) -> bool {
    let (ty, message) = match types::peel(&argument.ty) {
        Type::Reference(reference) if reference.mutability.is_some() => (
            &*reference.elem,
            Some("the context is shared: write `&Context`"),
        ),
        Type::Reference(reference) if reference.lifetime.is_some() => (
            &*reference.elem,
            Some("the context needs no lifetime: write `&Context`"),
        ),
        Type::Reference(reference) => (&*reference.elem, None),
        ty => (
            ty,
            Some(
                "the context is borrowed: write `cx: &Context` (a message cannot be called `Context`)",
            ),
        ),
    };
    let is_context = types::named(ty, "Context").is_some();
    if is_context && let Some(message) = message {
        errors.at(&argument.ty, message);
    }
    is_context
}
