//! The only door for generated code. Not part of the public interface: what is here changes with the macros, in one release.

pub use std::{
    clone::Clone,
    convert::Into,
    future::Future,
    marker::Send,
    option::Option,
    result::Result as StdResult,
    string::String,
    sync::{Arc, OnceLock},
    time::Duration,
};

pub use bytes::{Bytes, BytesMut};
pub use prost;
pub use serde;

pub use crate::{
    call::{Codec, Context, Request, Response, Streaming, fails_with},
    client::{CallOptions, Client},
    code::Code,
    describe::{
        bidirectional, client_streaming, methods, oneway, server_streaming, service, unary,
    },
    detail::{Detailed, ErrorOf, NoDetail, detail, text, with_detail},
    dispatch::{Channel, Dispatch},
    message::{Message, decode, encode},
    method::{Fingerprint, MethodDescriptor, Priority, ServiceDescriptor, Shape},
    proto::{
        self, DecodeError, Field, FieldInfo, Fields, Input, NumberInfo, Numbered, Schema, TypeBody,
        TypeInfo, Value, ValueType, VariantInfo, VariantPayload, WireType, delimited,
        field::{self, describe as describe_value, put_nested},
        prost_field,
    },
    server::{Call, Server, Service},
    status::{Result, Status},
};

/// What a service answers a call with: short, since it stands in every expansion.
pub type Answer = Result<Response>;

/// Makes a message of a type that has [`Fields`] and serde's traits.
#[doc(hidden)]
#[macro_export]
macro_rules! __message {
    ($type:ty) => {
        impl $crate::codegen::Message for $type {
            #[inline]
            fn encode(
                &self,
                codec: $crate::codegen::Codec,
                out: &mut $crate::codegen::BytesMut,
            ) -> $crate::codegen::Result<()> {
                $crate::codegen::encode(self, codec, out)
            }

            #[inline]
            fn decode(
                codec: $crate::codegen::Codec,
                bytes: $crate::codegen::Bytes,
            ) -> $crate::codegen::Result<Self> {
                $crate::codegen::decode(codec, &bytes)
            }

            fn describe(schema: &mut $crate::codegen::Schema) -> $crate::codegen::String {
                $crate::codegen::describe_value::<Self>(schema)
            }
        }

        impl $crate::codegen::Value for $type {
            const WIRE: $crate::codegen::WireType = $crate::codegen::WireType::LengthDelimited;

            #[inline]
            fn is_default(&self) -> bool {
                false
            }

            #[inline]
            fn put(&self, out: &mut $crate::codegen::BytesMut) {
                $crate::codegen::delimited(out, |out| {
                    $crate::codegen::Fields::put_fields(self, out)
                });
            }

            #[inline]
            fn take(
                old: $crate::codegen::Option<Self>,
                input: &mut $crate::codegen::Input<'_>,
            ) -> $crate::codegen::Result<Self, $crate::codegen::DecodeError> {
                input.nested(|input| $crate::codegen::Fields::take_fields(old, input))
            }

            fn absent(
                input: &mut $crate::codegen::Input<'_>,
            ) -> $crate::codegen::Result<Self, $crate::codegen::DecodeError> {
                input.absent(|input| {
                    $crate::codegen::Fields::take_fields($crate::codegen::Option::None, input)
                })
            }

            $crate::__value_by_serde!(Fields);
        }
    };
}

/// Makes a value of a type that is [`Numbered`] and has serde's traits.
#[doc(hidden)]
#[macro_export]
macro_rules! __enumeration {
    ($type:ty) => {
        impl $crate::codegen::Value for $type {
            const WIRE: $crate::codegen::WireType = $crate::codegen::WireType::Varint;

            #[inline]
            fn is_default(&self) -> bool {
                $crate::codegen::Numbered::number(self) == 0
            }

            #[inline]
            fn put(&self, out: &mut $crate::codegen::BytesMut) {
                $crate::codegen::Value::put(&$crate::codegen::Numbered::number(self), out);
            }

            #[inline]
            fn take(
                _: $crate::codegen::Option<Self>,
                input: &mut $crate::codegen::Input<'_>,
            ) -> $crate::codegen::Result<Self, $crate::codegen::DecodeError> {
                <i32 as $crate::codegen::Value>::take($crate::codegen::Option::None, input)
                    .map($crate::codegen::Numbered::from_number)
            }

            #[inline]
            fn absent(
                _: &mut $crate::codegen::Input<'_>,
            ) -> $crate::codegen::Result<Self, $crate::codegen::DecodeError> {
                $crate::codegen::Result::Ok($crate::codegen::Numbered::from_number(0))
            }

            $crate::__value_by_serde!(Numbered);
        }
    };
}

/// The part of a value that serde and the schema do.
#[doc(hidden)]
#[macro_export]
macro_rules! __value_by_serde {
    ($kind:ident) => {
        fn value_type(schema: &mut $crate::codegen::Schema) -> $crate::codegen::ValueType {
            schema.declare::<Self>(<Self as $crate::codegen::$kind>::INFO)
        }

        #[inline]
        fn serialize<S: $crate::codegen::serde::Serializer>(
            &self,
            serializer: S,
        ) -> $crate::codegen::Result<S::Ok, S::Error> {
            $crate::codegen::serde::Serialize::serialize(self, serializer)
        }

        #[inline]
        fn deserialize<'de, D: $crate::codegen::serde::Deserializer<'de>>(
            deserializer: D,
        ) -> $crate::codegen::Result<Self, D::Error> {
            $crate::codegen::serde::Deserialize::deserialize(deserializer)
        }
    };
}

/// Stands in for what a type with a mistake does not get, so that only the mistake is reported.
#[doc(hidden)]
#[macro_export]
macro_rules! __message_stub {
    ($type:ty) => {
        impl $crate::codegen::Message for $type {
            fn encode(
                &self,
                _: $crate::codegen::Codec,
                _: &mut $crate::codegen::BytesMut,
            ) -> $crate::codegen::Result<()> {
                ::core::unreachable!()
            }

            fn decode(
                _: $crate::codegen::Codec,
                _: $crate::codegen::Bytes,
            ) -> $crate::codegen::Result<Self> {
                ::core::unreachable!()
            }

            fn describe(_: &mut $crate::codegen::Schema) -> $crate::codegen::String {
                ::core::unreachable!()
            }
        }

        impl $crate::codegen::Value for $type {
            const WIRE: $crate::codegen::WireType = $crate::codegen::WireType::LengthDelimited;

            fn is_default(&self) -> bool {
                ::core::unreachable!()
            }

            fn put(&self, _: &mut $crate::codegen::BytesMut) {}

            fn take(
                _: $crate::codegen::Option<Self>,
                _: &mut $crate::codegen::Input<'_>,
            ) -> $crate::codegen::Result<Self, $crate::codegen::DecodeError> {
                ::core::unreachable!()
            }

            fn absent(
                _: &mut $crate::codegen::Input<'_>,
            ) -> $crate::codegen::Result<Self, $crate::codegen::DecodeError> {
                ::core::unreachable!()
            }

            fn value_type(_: &mut $crate::codegen::Schema) -> $crate::codegen::ValueType {
                ::core::unreachable!()
            }

            fn serialize<S: $crate::codegen::serde::Serializer>(
                &self,
                _: S,
            ) -> $crate::codegen::Result<S::Ok, S::Error> {
                ::core::unreachable!()
            }

            fn deserialize<'de, D: $crate::codegen::serde::Deserializer<'de>>(
                _: D,
            ) -> $crate::codegen::Result<Self, D::Error> {
                ::core::unreachable!()
            }
        }
    };
}
