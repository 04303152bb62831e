#[allow(deprecated)]
const _: () = {
    use ::blixard_rpc::codegen as __rpc;
    impl __rpc::Fields for OrderV1 {
        const INFO: &'static __rpc::TypeInfo = &__rpc::TypeInfo::new(
                "Order",
                "Something that was changed.",
                __rpc::TypeBody::Message(
                    &[
                        __rpc::FieldInfo::new(
                            "id",
                            "",
                            1,
                            <String as __rpc::Field>::field_type,
                        ),
                        __rpc::FieldInfo::new(
                                "price",
                                "",
                                3,
                                <u32 as __rpc::Field>::field_type,
                            )
                            .deprecated(),
                    ],
                ),
            )
            .reserved(&[(2, 2), (5, 7)], &["note"]);
        fn put_fields(&self, out: &mut __rpc::BytesMut) {
            let Self { id: f0, price: f1 } = self;
            <String as __rpc::Field>::put(f0, 1, out);
            <u32 as __rpc::Field>::put(f1, 3, out);
        }
        fn take_fields(
            old: __rpc::Option<Self>,
            input: &mut __rpc::Input<'_>,
        ) -> __rpc::Result<Self, __rpc::DecodeError> {
            let (mut f0, mut f1) = match old {
                __rpc::Option::Some(Self { id: f0, price: f1 }) => {
                    (__rpc::Option::Some(f0), __rpc::Option::Some(f1))
                }
                _ => (__rpc::Option::None, __rpc::Option::None),
            };
            while let __rpc::Option::Some((tag, wire)) = input.key()? {
                match tag {
                    1 => {
                        <String as __rpc::Field>::take(&mut f0, wire, input)
                            .map_err(|error| error.within("OrderV1", "id"))?
                    }
                    3 => {
                        <u32 as __rpc::Field>::take(&mut f1, wire, input)
                            .map_err(|error| error.within("OrderV1", "price"))?
                    }
                    _ => input.skip(tag, wire)?,
                }
            }
            __rpc::Result::Ok(Self {
                id: <String as __rpc::Field>::finish(f0, input)?,
                price: <u32 as __rpc::Field>::finish(f1, input)?,
            })
        }
    }
    ::blixard_rpc::__message!(OrderV1);
};
#[derive(
    ::blixard_rpc::codegen::serde::Serialize,
    ::blixard_rpc::codegen::serde::Deserialize,
    ::blixard_rpc::Message,
)]
#[serde(crate = "::blixard_rpc::codegen::serde")]
/// Something that was changed.
#[proto_name("Order")]
#[reserved(2, 5..= 7, "note")]
pub struct OrderV1 {
    #[serde(
        serialize_with = "<String as ::blixard_rpc::codegen::Field>::serialize",
        deserialize_with = "<String as ::blixard_rpc::codegen::Field>::deserialize"
    )]
    pub id: String,
    #[deprecated]
    #[tag(3)]
    #[serde(
        serialize_with = "<u32 as ::blixard_rpc::codegen::Field>::serialize",
        deserialize_with = "<u32 as ::blixard_rpc::codegen::Field>::deserialize"
    )]
    pub price: u32,
}
#[allow(deprecated)]
const _: () = {
    use ::blixard_rpc::codegen as __rpc;
    impl __rpc::Numbered for State {
        const INFO: &'static __rpc::TypeInfo = &__rpc::TypeInfo::new(
                "State",
                "",
                __rpc::TypeBody::Enum {
                    numbers: &[
                        __rpc::NumberInfo::new("STATE_OPEN", "", 0),
                        __rpc::NumberInfo::new("STATE_SENT", "", 2).deprecated(),
                    ],
                    unknown: 2usize,
                },
            )
            .reserved(&[(1, 1), (-5, -3)], &["STATE_PAID"])
            .deprecated();
        fn number(&self) -> i32 {
            match self {
                Self::Open => 0,
                Self::Sent => 2,
                Self::Other(number) => *number,
            }
        }
        fn from_number(number: i32) -> Self {
            match number {
                0 => Self::Open,
                2 => Self::Sent,
                number => Self::Other(number),
            }
        }
    }
    ::blixard_rpc::__enumeration!(State);
};
#[derive(
    ::blixard_rpc::codegen::serde::Serialize,
    ::blixard_rpc::codegen::serde::Deserialize,
    ::blixard_rpc::Message,
)]
#[serde(crate = "::blixard_rpc::codegen::serde")]
#[deprecated = "ask for the order"]
#[reserved(1, -5..= -3, "STATE_PAID")]
#[repr(i32)]
pub enum State {
    Open,
    #[deprecated]
    Sent = 2,
    #[unknown]
    Other(
        #[serde(
            serialize_with = "<i32 as ::blixard_rpc::codegen::Field>::serialize",
            deserialize_with = "<i32 as ::blixard_rpc::codegen::Field>::deserialize"
        )]
        i32,
    ),
}
#[allow(deprecated)]
const _: () = {
    use ::blixard_rpc::codegen as __rpc;
    impl __rpc::Fields for Event {
        const INFO: &'static __rpc::TypeInfo = &__rpc::TypeInfo::new(
            "Event",
            "",
            __rpc::TypeBody::Oneof {
                name: "kind",
                variants: &[
                    __rpc::VariantInfo::new(
                            "Moved",
                            "moved",
                            "",
                            1,
                            __rpc::VariantPayload::Fields(
                                &[
                                    __rpc::FieldInfo::new(
                                        "to",
                                        "",
                                        2,
                                        <u32 as __rpc::Field>::field_type,
                                    ),
                                ],
                            ),
                        )
                        .reserved(&[(1, 1)], &["by"]),
                    __rpc::VariantInfo::new(
                            "Lost",
                            "lost",
                            "",
                            2,
                            __rpc::VariantPayload::Value(
                                <() as __rpc::Value>::value_type,
                            ),
                        )
                        .deprecated(),
                ],
                unknown: __rpc::Option::None,
            },
        );
        fn put_fields(&self, out: &mut __rpc::BytesMut) {
            match self {
                Self::Moved { to: f0 } => {
                    __rpc::put_nested(
                        1,
                        out,
                        |out| {
                            <u32 as __rpc::Field>::put(f0, 2, out);
                        },
                    )
                }
                Self::Lost => <() as __rpc::Value>::put_always(&(), 2, out),
            }
        }
        fn take_fields(
            old: __rpc::Option<Self>,
            input: &mut __rpc::Input<'_>,
        ) -> __rpc::Result<Self, __rpc::DecodeError> {
            let mut slot = old;
            while let __rpc::Option::Some((tag, wire)) = input.key()? {
                match tag {
                    1 => {
                        let old = slot.take();
                        slot = __rpc::Option::Some(
                            input
                                .message(
                                    wire,
                                    |input| {
                                        let (mut f0,) = match old {
                                            __rpc::Option::Some(Self::Moved { to: f0 }) => {
                                                (__rpc::Option::Some(f0),)
                                            }
                                            _ => (__rpc::Option::None,),
                                        };
                                        while let __rpc::Option::Some((tag, wire)) = input.key()? {
                                            match tag {
                                                2 => {
                                                    <u32 as __rpc::Field>::take(&mut f0, wire, input)
                                                        .map_err(|error| error.within("Event", "to"))?
                                                }
                                                _ => input.skip(tag, wire)?,
                                            }
                                        }
                                        __rpc::Result::Ok(Self::Moved {
                                            to: <u32 as __rpc::Field>::finish(f0, input)?,
                                        })
                                    },
                                )
                                .map_err(|error| error.within("Event", "moved"))?,
                        );
                    }
                    2 => {
                        <() as __rpc::Value>::take_checked(
                                &mut __rpc::Option::None,
                                wire,
                                input,
                            )
                            .map_err(|error| error.within("Event", "lost"))?;
                        slot = __rpc::Option::Some(Self::Lost);
                    }
                    _ => input.skip(tag, wire)?,
                }
            }
            match slot {
                __rpc::Option::Some(value) => __rpc::Result::Ok(value),
                __rpc::Option::None => {
                    __rpc::Result::Err(__rpc::DecodeError::unset("Event"))
                }
            }
        }
    }
    ::blixard_rpc::__message!(Event);
};
#[derive(
    ::blixard_rpc::codegen::serde::Serialize,
    ::blixard_rpc::codegen::serde::Deserialize,
    ::blixard_rpc::Message,
)]
#[serde(crate = "::blixard_rpc::codegen::serde")]
enum Event {
    #[reserved(1, "by")]
    Moved {
        #[tag(2)]
        #[serde(
            serialize_with = "<u32 as ::blixard_rpc::codegen::Field>::serialize",
            deserialize_with = "<u32 as ::blixard_rpc::codegen::Field>::deserialize"
        )]
        to: u32,
    },
    #[deprecated]
    Lost,
}
