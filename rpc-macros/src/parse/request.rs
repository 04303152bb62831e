//! What the arguments of a method are together: nothing, a message, the fields of one, or a stream.

use syn::{Ident, ext::IdentExt};

use super::{arguments::Argument, types};
use crate::{
    attr,
    errors::Errors,
    model::{Field, Request, Settings},
    name::{is_proto_name, mistake},
};

/// What the arguments are together.
pub(super) fn request(
    arguments: Vec<Argument>,
    settings: &Settings,
    errors: &Errors,
) -> Option<Request> {
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
        let field = Some(field_name(&argument.ident).unraw().to_string())
            .filter(|field| types::is_scalar(&argument.ty) && is_proto_name(field));
        return Some(Request::Message {
            argument: argument.ident.clone(),
            ty: Box::new(argument.ty.clone()),
            field,
            docs: attr::docs(&argument.attrs),
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
        item: Box::new(types::item(&argument.ty, errors)?),
    })
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
        if let Some(message) = mistake(&argument.ident, &name.unraw().to_string(), None) {
            errors.at(&argument.ident, message);
        }
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

/// An argument that a default body does not use is `_name`; its field is `name`, unless that is none (`_2`, `_self`).
fn field_name(argument: &Ident) -> Ident {
    let text = argument.to_string();
    let name = text.trim_start_matches('_');
    if name.len() == text.len() {
        return argument.clone();
    }
    // A keyword is a name only when it is raw.
    [name, &format!("r#{name}")]
        .into_iter()
        .find_map(|name| syn::parse_str(name).ok())
        .map_or_else(
            || argument.clone(),
            |mut name: Ident| {
                name.set_span(argument.span());
                name
            },
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_the_names_of_arguments_without_underscores() {
        for (argument, field) in [
            ("name", "name"),
            ("_name", "name"),
            ("__name_", "name_"),
            ("_type", "r#type"),
            ("__", "__"),
            ("_2", "_2"),
            ("_self", "_self"),
            ("_crate", "_crate"),
        ] {
            let argument = Ident::new(argument, proc_macro2::Span::call_site());
            assert_eq!(field_name(&argument).to_string(), field);
        }
    }
}
