//! From a method as it was typed to a [`Method`]. Each mistake is reported once, on the smallest span, with what to write instead.

use syn::{
    Attribute, FnArg, GenericParam, Ident, Pat, PatType, ReceiverKind, ReturnType, Safety,
    Signature, Type, Visibility,
};

use super::types;
use crate::{
    attr,
    errors::Errors,
    model::{self, Field, Method, RawMethod, Request, Response, Settings},
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
            None => model::wire_name(&signature.ident),
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

/// The arguments beside `self`.
struct Arguments {
    context: Option<Ident>,
    others: Vec<Argument>,
}

/// An argument that is sent.
struct Argument {
    ident: Ident,
    ty: Type,
    tag: Option<(u32, Attribute)>,
    /// Those that go to the field.
    attrs: Vec<Attribute>,
}

/// Reads the arguments, and takes those attributes from the signature that are ours.
fn arguments(signature: &mut Signature, has_body: bool, errors: &Errors) -> Arguments {
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

/// What the arguments are together.
fn request(arguments: Vec<Argument>, settings: &Settings, errors: &Errors) -> Option<Request> {
    let streams = arguments
        .iter()
        .filter(|argument| types::stream(&argument.ty).is_some())
        .collect::<Vec<_>>();
    if let [stream, more @ ..] = &streams[..] {
        return match more {
            [second, ..] => {
                errors.at(
                    &second.ty,
                    "a call has one stream each way: send what belongs together in one message, like `Streaming<Either>` with an enum `Either`",
                );
                None
            }
            [] if arguments.len() > 1 => {
                errors.at(
                    &stream.ty,
                    "a stream is the only argument: send the others in its first message, or in the metadata",
                );
                None
            }
            [] => stream_argument(stream, settings, errors),
        };
    }
    if arguments.is_empty() {
        return Some(Request::Unit);
    }
    if let [argument] = &arguments[..]
        && argument.tag.is_none()
    {
        for attr in &argument.attrs {
            if attr.path().is_ident("prost") {
                errors.at(
                    attr,
                    "this argument is the whole request, which may come from prost as it is: remove this attribute",
                );
            }
        }
        return Some(Request::Message {
            argument: argument.ident.clone(),
            ty: Box::new(argument.ty.clone()),
        });
    }
    fields(arguments, errors)
}

fn stream_argument(argument: &Argument, settings: &Settings, errors: &Errors) -> Option<Request> {
    if let Some((_, attr)) = &argument.tag {
        errors.at(
            attr,
            "a stream is not a field: remove the tag, its items are the messages",
        );
        return None;
    }
    if settings.oneway.is_some() {
        errors.at(
            &argument.ty,
            "a one-way call sends one message: take the message instead of a stream, or remove `oneway` and return `Result<()>`",
        );
        return None;
    }
    Some(Request::Stream {
        argument: argument.ident.clone(),
        item: Box::new(item(&argument.ty, errors)?),
    })
}

/// The item of a `Streaming<T>`.
fn item(stream: &Type, errors: &Errors) -> Option<Type> {
    match types::stream(stream)? {
        Some(item) => {
            types::check_sent(item, "an item", errors);
            Some(item.clone())
        }
        None => {
            errors.at(
                stream,
                "the stream does not say what it carries: write `Streaming<T>`",
            );
            None
        }
    }
}

/// Numbers the fields as `#[message]` does: a field without a tag has the one after its predecessor's.
fn fields(arguments: Vec<Argument>, errors: &Errors) -> Option<Request> {
    let mut numbers: Vec<(u32, Ident)> = Vec::new();
    let mut fields: Vec<Field> = Vec::new();
    let mut next = 1;
    for argument in arguments {
        let number = argument.tag.as_ref().map_or(next, |(number, _)| *number);
        next = number + 1;
        if let Some((_, other)) = numbers.iter().find(|(used, _)| *used == number) {
            let message = format!(
                "`{}` has the tag {number} that `{other}` has: give each argument its own",
                argument.ident
            );
            match &argument.tag {
                Some((_, attr)) => errors.at(attr, message),
                None => errors.at(&argument.ident, message),
            }
        }
        numbers.push((number, argument.ident.clone()));
        let name = field_name(&argument.ident);
        if fields.iter().any(|field| field.name == name) {
            errors.at(
                &argument.ident,
                format_args!(
                    "two arguments would be the field `{name}` of the request: rename one"
                ),
            );
        }
        fields.push(Field {
            name,
            argument: argument.ident,
            ty: argument.ty,
            attrs: argument.attrs,
        });
    }
    Some(Request::Fields(fields))
}

/// An argument that a default body does not use is `_name`; its field is `name`.
fn field_name(argument: &Ident) -> Ident {
    let text = argument.to_string();
    let name = text.trim_start_matches('_');
    if name.is_empty() || name.len() == text.len() {
        argument.clone()
    } else {
        syn::parse_str(name)
            .map(|mut name: Ident| {
                name.set_span(argument.span());
                name
            })
            .unwrap_or_else(|_| Ident::new_raw(name, argument.span()))
    }
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
        item(answer, errors).map(Response::Stream)
    } else {
        types::check_sent(answer, "a result", errors);
        Some(Response::Message(answer.clone()))
    }
}
