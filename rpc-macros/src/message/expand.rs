//! From the model to code. Nothing is checked here.

use proc_macro2::{Literal, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{DeriveInput, Ident, Type, spanned::Spanned};

use super::model::{
    Field, Kind, Message, Number, Payload, Reserved, Variant, name, snake, value_name,
};
use crate::span::at;

/// The whole expansion of the derive.
pub(super) fn expand(message: &Message) -> TokenStream {
    let expanded = match &message.kind {
        Kind::Struct(fields) => expand_struct(message, fields),
        Kind::Oneof { variants, unknown } => expand_oneof(message, variants, unknown.as_ref()),
        Kind::Enum { numbers, unknown } => expand_enum(message, numbers, unknown),
    };
    // What is deprecated still goes over the wire.
    let allow = message
        .has_deprecated()
        .then(|| quote!(#[allow(deprecated)]));
    quote!(#allow #expanded)
}

/// What stands in for the expansion after an error, so that nothing follows from it.
pub(super) fn stub(input: &DeriveInput) -> TokenStream {
    if input.generics.params.is_empty() {
        let ident = &input.ident;
        quote!(::blixard_rpc::__message_stub!(#ident);)
    } else {
        TokenStream::new()
    }
}

fn expand_struct(message: &Message, fields: &[Field]) -> TokenStream {
    let ident = &message.ident;
    let info = info(message, {
        let fields = field_infos(fields);
        quote!(Message(&[#fields]))
    });
    let pattern = pattern(&quote!(Self), fields);
    let put = put_fields(fields);
    let take = take_fields(
        message,
        &quote!(Self),
        fields,
        &quote!(old),
        &quote!(__rpc::Option::Some(#pattern)),
    );
    quote! {
        const _: () = {
            use ::blixard_rpc::codegen as __rpc;

            impl __rpc::Fields for #ident {
                const INFO: &'static __rpc::TypeInfo = #info;

                fn put_fields(&self, out: &mut __rpc::BytesMut) {
                    let #pattern = self;
                    #put
                }

                fn take_fields(
                    old: __rpc::Option<Self>,
                    input: &mut __rpc::Input<'_>,
                ) -> __rpc::Result<Self, __rpc::DecodeError> {
                    #take
                }
            }

            ::blixard_rpc::__message!(#ident);
        };
    }
}

fn expand_oneof(
    message: &Message,
    variants: &[Variant],
    unknown: Option<&(Ident, usize)>,
) -> TokenStream {
    let ident = &message.ident;
    let type_name = name(ident);
    let info = info(message, {
        let oneof = if variants
            .iter()
            .any(|variant| snake(&variant.ident) == "kind")
        {
            "variant"
        } else {
            "kind"
        };
        let infos = variants.iter().map(variant_info);
        let unknown = match unknown {
            Some((_, place)) => quote!(__rpc::Option::Some(#place)),
            None => quote!(__rpc::Option::None),
        };
        quote!(Oneof { name: #oneof, variants: &[#(#infos),*], unknown: #unknown })
    });
    let puts = variants.iter().map(|variant| {
        let path = variant_path(variant);
        let tag = Literal::u32_unsuffixed(variant.tag);
        match &variant.payload {
            Payload::Unit => quote!(#path => <() as __rpc::Value>::put_always(&(), #tag, out),),
            Payload::Value { ty, prost } => {
                let put = if *prost {
                    of(ty, &quote!(prost_field::ProstField<_>), "put")
                } else {
                    of(ty, &quote!(Value), "put_always")
                };
                quote!(#path(f0) => #put(f0, #tag, out),)
            }
            Payload::Fields { fields, .. } => {
                let pattern = pattern(&path, fields);
                let put = put_fields(fields);
                quote!(#pattern => __rpc::put_nested(#tag, out, |out| { #put }),)
            }
        }
    });
    let put_unknown = unknown.map(|(unknown, _)| quote!(Self::#unknown => {}));
    let takes = variants.iter().map(|variant| {
        let path = variant_path(variant);
        let tag = Literal::u32_unsuffixed(variant.tag);
        let field = snake(&variant.ident);
        let within = quote!(.map_err(|error| error.within(#type_name, #field))?);
        let body = match &variant.payload {
            Payload::Unit => quote! {
                <() as __rpc::Value>::take_checked(&mut __rpc::Option::None, wire, input)#within;
                slot = __rpc::Option::Some(#path);
            },
            Payload::Value { ty, prost } => {
                let take = if *prost {
                    of(ty, &quote!(prost_field::ProstField<_>), "take")
                } else {
                    of(ty, &quote!(Value), "take_checked")
                };
                quote! {
                    let mut f0 = match slot.take() {
                        __rpc::Option::Some(#path(f0)) => __rpc::Option::Some(f0),
                        _ => __rpc::Option::None,
                    };
                    #take(&mut f0, wire, input)#within;
                    slot = f0.map(#path);
                }
            }
            Payload::Fields { fields, .. } => {
                let pattern = pattern(&path, fields);
                let take = take_fields(
                    message,
                    &path,
                    fields,
                    &quote!(old),
                    &quote!(__rpc::Option::Some(#pattern)),
                );
                quote! {
                    let old = slot.take();
                    slot = __rpc::Option::Some(input.message(wire, |input| { #take })#within);
                }
            }
        };
        quote!(#tag => { #body })
    });
    let none = match unknown {
        Some((unknown, _)) => quote!(__rpc::Result::Ok(Self::#unknown)),
        None => {
            quote!(__rpc::Result::Err(__rpc::DecodeError::unset(#type_name)))
        }
    };
    quote! {
        const _: () = {
            use ::blixard_rpc::codegen as __rpc;

            impl __rpc::Fields for #ident {
                const INFO: &'static __rpc::TypeInfo = #info;

                fn put_fields(&self, out: &mut __rpc::BytesMut) {
                    match self {
                        #(#puts)*
                        #put_unknown
                    }
                }

                fn take_fields(
                    old: __rpc::Option<Self>,
                    input: &mut __rpc::Input<'_>,
                ) -> __rpc::Result<Self, __rpc::DecodeError> {
                    let mut slot = old;
                    while let __rpc::Option::Some((tag, wire)) = input.key()? {
                        match tag {
                            #(#takes)*
                            _ => input.skip(tag, wire)?,
                        }
                    }
                    match slot {
                        __rpc::Option::Some(value) => __rpc::Result::Ok(value),
                        __rpc::Option::None => #none,
                    }
                }
            }

            ::blixard_rpc::__message!(#ident);
        };
    }
}

fn expand_enum(
    message: &Message,
    numbers: &[Number],
    (unknown, place): &(Ident, usize),
) -> TokenStream {
    let ident = &message.ident;
    let info = info(message, {
        let infos = numbers.iter().map(|number| {
            let name = value_name(&message.proto_name, message.within.is_some(), &number.ident);
            let docs = &number.docs;
            let deprecated = deprecated(number.deprecated);
            let number = Literal::i32_unsuffixed(number.number);
            quote!(__rpc::NumberInfo::new(#name, #docs, #number) #deprecated)
        });
        quote!(Enum { numbers: &[#(#infos),*], unknown: #place })
    });
    let variants: Vec<_> = numbers.iter().map(|number| &number.ident).collect();
    let values: Vec<_> = numbers
        .iter()
        .map(|number| Literal::i32_unsuffixed(number.number))
        .collect();
    quote! {
        const _: () = {
            use ::blixard_rpc::codegen as __rpc;

            impl __rpc::Numbered for #ident {
                const INFO: &'static __rpc::TypeInfo = #info;

                fn number(&self) -> i32 {
                    match self {
                        #(Self::#variants => #values,)*
                        Self::#unknown(number) => *number,
                    }
                }

                fn from_number(number: i32) -> Self {
                    match number {
                        #(#values => Self::#variants,)*
                        number => Self::#unknown(number),
                    }
                }
            }

            ::blixard_rpc::__enumeration!(#ident);
        };
    }
}

/// The static description of a type.
fn info(message: &Message, body: impl ToTokens) -> TokenStream {
    let own = &message.proto_name;
    let name = match &message.within {
        None => own.clone(),
        Some(outer) => format!("{}.{own}", name(outer)),
    };
    let docs = &message.docs;
    let reserved = reserved(&message.reserved);
    let deprecated = deprecated(message.deprecated);
    quote!(&__rpc::TypeInfo::new(#name, #docs, __rpc::TypeBody::#body) #reserved #deprecated)
}

fn reserved(reserved: &Reserved) -> Option<TokenStream> {
    (!reserved.is_empty()).then(|| {
        let numbers = reserved.numbers.iter().map(|(first, last)| {
            let first = Literal::i32_unsuffixed(*first);
            let last = Literal::i32_unsuffixed(*last);
            quote!((#first, #last))
        });
        let names = &reserved.names;
        quote!(.reserved(&[#(#numbers),*], &[#(#names),*]))
    })
}

fn deprecated(is: bool) -> Option<TokenStream> {
    is.then(|| quote!(.deprecated()))
}

fn field_infos(fields: &[Field]) -> TokenStream {
    let infos = fields.iter().map(|field| {
        let name = name(&field.ident);
        let docs = &field.docs;
        let tag = Literal::u32_unsuffixed(field.tag);
        let field_type = method(field, "field_type");
        let deprecated = deprecated(field.deprecated);
        quote!(__rpc::FieldInfo::new(#name, #docs, #tag, #field_type) #deprecated)
    });
    quote!(#(#infos),*)
}

fn variant_info(variant: &Variant) -> TokenStream {
    let variant_name = name(&variant.ident);
    let field = snake(&variant.ident);
    let docs = &variant.docs;
    let tag = Literal::u32_unsuffixed(variant.tag);
    let payload = match &variant.payload {
        Payload::Unit => quote!(Value(<() as __rpc::Value>::value_type)),
        Payload::Value { ty, prost } => {
            let by = if *prost {
                quote!(prost_field::ProstValue<_>)
            } else {
                quote!(Value)
            };
            let value_type = of(ty, &by, "value_type");
            quote!(Value(#value_type))
        }
        Payload::Fields { fields, .. } => {
            let fields = field_infos(fields);
            quote!(Fields(&[#fields]))
        }
    };
    let reserved = match &variant.payload {
        Payload::Fields {
            reserved: these, ..
        } => reserved(these),
        _ => None,
    };
    let deprecated = deprecated(variant.deprecated);
    quote! {
        __rpc::VariantInfo::new(
            #variant_name,
            #field,
            #docs,
            #tag,
            __rpc::VariantPayload::#payload,
        ) #reserved #deprecated
    }
}

fn variant_path(variant: &Variant) -> TokenStream {
    let ident = &variant.ident;
    quote!(Self::#ident)
}

/// What binds the fields of a struct or variant to `f0`, `f1` and so on, names that cannot meet others.
fn pattern(path: &TokenStream, fields: &[Field]) -> TokenStream {
    let idents = fields.iter().map(|field| &field.ident);
    let slots = slots(fields);
    quote!(#path { #(#idents: #slots),* })
}

/// Writes the fields, in the order of their tags, as prost does.
fn put_fields(fields: &[Field]) -> TokenStream {
    let mut order: Vec<_> = fields.iter().zip(slots(fields)).collect();
    order.sort_by_key(|(field, _)| field.tag);
    order
        .into_iter()
        .map(|(field, slot)| {
            let tag = Literal::u32_unsuffixed(field.tag);
            let put = method(field, "put");
            quote!(#put(#slot, #tag, out);)
        })
        .collect()
}

/// Reads fields until the input is empty.
fn take_fields(
    message: &Message,
    path: &TokenStream,
    fields: &[Field],
    old: &TokenStream,
    pattern: &TokenStream,
) -> TokenStream {
    let type_name = name(&message.ident);
    let slots = slots(fields);
    let idents = fields.iter().map(|field| &field.ident);
    let takes = fields.iter().zip(&slots).map(|(field, slot)| {
        let tag = Literal::u32_unsuffixed(field.tag);
        let field_name = name(&field.ident);
        let take = method(field, "take");
        quote! {
            #tag => #take(&mut #slot, wire, input)
                .map_err(|error| error.within(#type_name, #field_name))?,
        }
    });
    let finishes = fields.iter().zip(&slots).map(|(field, slot)| {
        let finish = method(field, "finish");
        quote!(#finish(#slot, input)?)
    });
    let none = slots.iter().map(|_| quote!(__rpc::Option::None));
    let let_slots = if fields.is_empty() {
        quote!(let _ = #old;)
    } else {
        quote! {
            let (#(mut #slots,)*) = match #old {
                #pattern => (#(__rpc::Option::Some(#slots),)*),
                _ => (#(#none,)*),
            };
        }
    };
    quote! {
        #let_slots
        while let __rpc::Option::Some((tag, wire)) = input.key()? {
            match tag {
                #(#takes)*
                _ => input.skip(tag, wire)?,
            }
        }
        __rpc::Result::Ok(#path { #(#idents: #finishes),* })
    }
}

/// The function that does this for a field.
fn method(field: &Field, method: &str) -> TokenStream {
    let by = if field.prost {
        quote!(prost_field::ProstField<_>)
    } else {
        quote!(Field)
    };
    of(&field.ty, &by, method)
}

/// A function that a type has by a trait. All of it is where the type begins, as in what serde is told: a type that does not have
/// the trait is reported once.
fn of(ty: &Type, by: &TokenStream, method: &str) -> TokenStream {
    let span = ty.span();
    let (ty, by) = (at(span, ty), at(span, by));
    let method = format_ident!("{method}", span = Span::call_site().located_at(span));
    quote_spanned!(span=> <#ty as __rpc::#by>::#method)
}

fn slots(fields: &[Field]) -> Vec<Ident> {
    (0..fields.len()).map(|at| format_ident!("f{at}")).collect()
}
