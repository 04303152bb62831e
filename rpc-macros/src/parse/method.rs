//! From a method as it was typed to a [`Method`]. Each mistake is reported once, on the smallest span, with what to write instead.

use syn::{Attribute, GenericParam, ReceiverKind, ReturnType, Safety, Signature, Type, Visibility};

use super::{arguments::arguments, request::request, types};
use crate::{
    attr,
    errors::Errors,
    model::{self, Method, RawMethod, Response, Settings},
    name::mistake,
};

/// Reads a method; `None` if there is a mistake in it.
pub(super) fn method(raw: &RawMethod, errors: &Errors) -> Option<Method> {
    let before = errors.len();
    attributes(&raw.attrs, errors);
    if !matches!(raw.vis, Visibility::Inherited) {
        errors.at(&raw.vis, "a method is as visible as its trait: remove this");
    }
    let settings = attr::of_method(
        raw.attrs.iter().filter(|attr| attr.path().is_ident("rpc")),
        errors,
    );
    let derived = model::wire_name(&raw.signature.ident);
    // A name that was set and refused is not followed by a second report.
    if settings.name.is_none()
        && errors.len() == before
        && let Some(message) = mistake(&raw.signature.ident, &derived, Some(NAME_ATTRIBUTE))
    {
        errors.at(&raw.signature.ident, message);
    }
    let mut signature = raw.signature.clone();
    qualifiers(&signature, errors);
    receiver(&signature, errors);
    let arguments = arguments(&mut signature, raw.body.is_some(), errors);
    let response = response(&signature, &settings, errors);
    let request = request(arguments.others, &settings, errors);
    if errors.len() > before {
        return None;
    }
    Some(Method {
        attrs: without(&raw.attrs, "rpc"),
        cfgs: raw
            .attrs
            .iter()
            .filter(|attr| attr.path().is_ident("cfg"))
            .cloned()
            .collect(),
        docs: attr::docs(&raw.attrs),
        name: match &settings.name {
            Some((name, _)) => name.clone(),
            None => derived,
        },
        signature,
        body: raw.body.clone(),
        context: arguments.context,
        request: request?,
        response: response?,
        settings,
    })
}

fn without(attrs: &[Attribute], name: &str) -> Vec<Attribute> {
    attrs
        .iter()
        .filter(|attr| !attr.path().is_ident(name))
        .cloned()
        .collect()
}

fn attributes(attrs: &[Attribute], errors: &Errors) {
    for attr in attrs {
        if let Some(hidden) = attr::hidden(attr) {
            errors.at(
                &hidden,
                format_args!("`#[cfg_attr(.., {hidden}(..))]` is not seen here: write `#[{hidden}(..)]`, on two methods if need be"),
            );
        }
    }
}

fn qualifiers(signature: &Signature, errors: &Errors) {
    if let Some(constness) = &signature.constness {
        errors.at(constness, "a call cannot be `const`: remove it");
    }
    if let Safety::Unsafe(token) = &signature.safety {
        errors.at(
            token,
            "a call cannot be `unsafe`, the caller may be on another machine: remove it",
        );
    }
    if let Some(abi) = &signature.abi {
        errors.at(abi, "a call has no ABI of its own: remove it");
    }
    if signature.asyncness.is_none() {
        errors.at(
            signature.fn_token,
            format_args!(
                "a call waits for its answer: write `async fn {}`",
                signature.ident
            ),
        );
    }
    let generics = &signature.generics.params;
    if generics
        .iter()
        .any(|parameter| !matches!(parameter, GenericParam::Lifetime(_)))
    {
        errors.at(
            generics,
            "a method cannot be generic, both sides must know what is sent: write the types",
        );
    } else if !generics.is_empty() {
        errors.at(
            generics,
            "a method needs no lifetimes, what is sent is owned: remove them",
        );
    }
    if let Some(clause) = &signature.generics.where_clause {
        errors.at(
            clause,
            "a method cannot have a where clause: it is not generic, so remove it",
        );
    }
    if let Some(variadic) = &signature.variadic {
        errors.at(
            variadic,
            "a call has a fixed number of arguments: take a `Vec<T>` or a `Streaming<T>`",
        );
    }
}

fn receiver(signature: &Signature, errors: &Errors) {
    let Some(receiver) = signature.receiver() else {
        errors.at(
            &signature.ident,
            "a call goes to a service that runs: let the arguments begin with `&self`",
        );
        return;
    };
    let message = match &receiver.kind {
        ReceiverKind::Reference(_, None, None) => return,
        ReceiverKind::Reference(_, _, Some(_)) => {
            "calls run at the same time and share the service: write `&self`, and keep what changes in a `Mutex`, an atomic or a channel"
        }
        // The lifetimes that the method declares were reported.
        ReceiverKind::Reference(_, Some(_), None) if !signature.generics.params.is_empty() => {
            return;
        }
        ReceiverKind::Reference(_, Some(_), None) => {
            "the lifetime of `self` is not needed: write `&self`"
        }
        ReceiverKind::Value => "a service outlives its calls: write `&self`",
        _ => "calls share the service: write `&self`",
    };
    errors.at(receiver, message);
}

/// What the method answers.
fn response(signature: &Signature, settings: &Settings, errors: &Errors) -> Option<Response> {
    let ty = match &signature.output {
        ReturnType::Default => None,
        ReturnType::Type(_, ty) if types::is_unit(ty) => None,
        ReturnType::Type(_, ty) => Some(&**ty),
    };
    match (ty, &settings.oneway) {
        (None, Some(_)) => Some(Response::Nothing),
        (Some(ty), Some(_)) => {
            errors.at(
                ty,
                "a one-way call answers nothing: remove the return type, or remove `oneway`",
            );
            None
        }
        (None, None) => {
            let message = "a call can fail: write `-> Result<()>`, or `#[rpc(oneway)]` if nobody waits for it";
            match &signature.output {
                ReturnType::Default => errors.at(&signature.ident, message),
                ReturnType::Type(_, ty) => errors.at(ty, message),
            }
            None
        }
        (Some(ty), None) => result(ty, signature.asyncness.is_some(), errors),
    }
}

/// The `T` of `Result<T, E>`, or of the stream in it.
fn result(ty: &Type, is_async: bool, errors: &Errors) -> Option<Response> {
    let Some(segment) = types::named(ty, "Result") else {
        // What a function that is not async returns is not what its call answers: that was said already.
        if is_async {
            let answer = match types::peel(ty) {
                Type::ImplTrait(_) => "Streaming<T>".to_owned(),
                Type::Reference(reference) => {
                    types::owned(&reference.elem).unwrap_or_else(|| types::printed(&reference.elem))
                }
                ty => types::printed(ty),
            };
            errors.at(
                ty,
                format_args!("a call can fail: write `Result<{answer}>`, or `Result<{answer}, E>` with an error of your own"),
            );
        }
        return None;
    };
    let Some(&answer) = types::arguments(segment).first() else {
        errors.at(
            ty,
            "the result does not say what is answered: write `Result<T>` or `Result<T, E>`",
        );
        return None;
    };
    if types::stream(answer).is_some() {
        types::item(answer, errors).map(Response::Stream)
    } else {
        types::check_sent(answer, "a result", errors);
        Some(Response::Message(answer.clone()))
    }
}

/// What sets the name of a method.
const NAME_ATTRIBUTE: &str = r#"#[rpc(name = "..")]"#;
