const _: () = {
    use ::blixard_rpc::codegen as __rpc;
    impl __rpc::Fields for Greeting {
        const INFO: &'static __rpc::TypeInfo = &__rpc::TypeInfo::new(
            "Greeting",
            "Says hello.",
            __rpc::TypeBody::Message(
                &[
                    __rpc::FieldInfo::new(
                        "text",
                        "What is said.",
                        1,
                        <String as __rpc::Field>::field_type,
                    ),
                    __rpc::FieldInfo::new(
                        "at",
                        "",
                        4,
                        <u64 as __rpc::Field>::field_type,
                    ),
                    __rpc::FieldInfo::new(
                        "old",
                        "",
                        5,
                        <Option<
                            pb::Old,
                        > as __rpc::prost_field::ProstField<_>>::field_type,
                    ),
                ],
            ),
        );
        fn put_fields(&self, out: &mut __rpc::BytesMut) {
            let Self { text: f0, at: f1, old: f2 } = self;
            <String as __rpc::Field>::put(f0, 1, out);
            <u64 as __rpc::Field>::put(f1, 4, out);
            <Option<pb::Old> as __rpc::prost_field::ProstField<_>>::put(f2, 5, out);
        }
        fn take_fields(
            old: __rpc::Option<Self>,
            input: &mut __rpc::Input<'_>,
        ) -> __rpc::Result<Self, __rpc::DecodeError> {
            let (mut f0, mut f1, mut f2) = match old {
                __rpc::Option::Some(Self { text: f0, at: f1, old: f2 }) => {
                    (
                        __rpc::Option::Some(f0),
                        __rpc::Option::Some(f1),
                        __rpc::Option::Some(f2),
                    )
                }
                _ => (__rpc::Option::None, __rpc::Option::None, __rpc::Option::None),
            };
            while let __rpc::Option::Some((tag, wire)) = input.key()? {
                match tag {
                    1 => {
                        <String as __rpc::Field>::take(&mut f0, wire, input)
                            .map_err(|error| error.within("Greeting", "text"))?
                    }
                    4 => {
                        <u64 as __rpc::Field>::take(&mut f1, wire, input)
                            .map_err(|error| error.within("Greeting", "at"))?
                    }
                    5 => {
                        <Option<
                            pb::Old,
                        > as __rpc::prost_field::ProstField<
                            _,
                        >>::take(&mut f2, wire, input)
                            .map_err(|error| error.within("Greeting", "old"))?
                    }
                    _ => input.skip(tag, wire)?,
                }
            }
            __rpc::Result::Ok(Self {
                text: <String as __rpc::Field>::finish(f0, input)?,
                at: <u64 as __rpc::Field>::finish(f1, input)?,
                old: <Option<
                    pb::Old,
                > as __rpc::prost_field::ProstField<_>>::finish(f2, input)?,
            })
        }
    }
    ::blixard_rpc::__message!(Greeting);
};
#[derive(
    ::blixard_rpc::codegen::serde::Serialize,
    ::blixard_rpc::codegen::serde::Deserialize,
    ::blixard_rpc::Message,
)]
#[serde(crate = "::blixard_rpc::codegen::serde")]
/// Says hello.
#[derive(Clone, Debug)]
pub struct Greeting {
    /// What is said.
    #[serde(
        serialize_with = "<String as ::blixard_rpc::codegen::Field>::serialize",
        deserialize_with = "<String as ::blixard_rpc::codegen::Field>::deserialize"
    )]
    pub text: String,
    #[tag(4)]
    #[serde(
        serialize_with = "<u64 as ::blixard_rpc::codegen::Field>::serialize",
        deserialize_with = "<u64 as ::blixard_rpc::codegen::Field>::deserialize"
    )]
    pub at: u64,
    #[prost]
    #[serde(
        serialize_with = "<Option < pb :: Old > as ::blixard_rpc::codegen::prost_field::ProstField<_>>::serialize",
        deserialize_with = "<Option < pb :: Old > as ::blixard_rpc::codegen::prost_field::ProstField<_>>::deserialize"
    )]
    old: Option<pb::Old>,
}
const _: () = {
    use ::blixard_rpc::codegen as __rpc;
    impl __rpc::Numbered for Color {
        const INFO: &'static __rpc::TypeInfo = &__rpc::TypeInfo::new(
            "Color",
            "What is seen.",
            __rpc::TypeBody::Enum {
                numbers: &[
                    __rpc::NumberInfo::new("COLOR_RED", "", 0),
                    __rpc::NumberInfo::new("COLOR_DARK_BLUE", "", 4),
                ],
                unknown: 2usize,
            },
        );
        fn number(&self) -> i32 {
            match self {
                Self::Red => 0,
                Self::DarkBlue => 4,
                Self::Other(number) => *number,
            }
        }
        fn from_number(number: i32) -> Self {
            match number {
                0 => Self::Red,
                4 => Self::DarkBlue,
                number => Self::Other(number),
            }
        }
    }
    ::blixard_rpc::__enumeration!(Color);
};
#[derive(
    ::blixard_rpc::codegen::serde::Serialize,
    ::blixard_rpc::codegen::serde::Deserialize,
    ::blixard_rpc::Message,
)]
#[serde(crate = "::blixard_rpc::codegen::serde")]
/// What is seen.
#[repr(i32)]
enum Color {
    Red,
    DarkBlue = 4,
    #[unknown]
    Other(
        #[serde(
            serialize_with = "<i32 as ::blixard_rpc::codegen::Field>::serialize",
            deserialize_with = "<i32 as ::blixard_rpc::codegen::Field>::deserialize"
        )]
        i32,
    ),
}
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
                        "Started",
                        "started",
                        "",
                        1,
                        __rpc::VariantPayload::Value(<() as __rpc::Value>::value_type),
                    ),
                    __rpc::VariantInfo::new(
                        "Moved",
                        "moved",
                        "",
                        2,
                        __rpc::VariantPayload::Fields(
                            &[
                                __rpc::FieldInfo::new(
                                    "by",
                                    "",
                                    1,
                                    <i32 as __rpc::Field>::field_type,
                                ),
                                __rpc::FieldInfo::new(
                                    "of",
                                    "",
                                    2,
                                    <Box<Self> as __rpc::Field>::field_type,
                                ),
                            ],
                        ),
                    ),
                    __rpc::VariantInfo::new(
                        "Painted",
                        "painted",
                        "",
                        7,
                        __rpc::VariantPayload::Value(<Color as __rpc::Value>::value_type),
                    ),
                ],
                unknown: __rpc::Option::Some(3usize),
            },
        );
        fn put_fields(&self, out: &mut __rpc::BytesMut) {
            match self {
                Self::Started => <() as __rpc::Value>::put_always(&(), 1, out),
                Self::Moved { by: f0, of: f1 } => {
                    __rpc::put_nested(
                        2,
                        out,
                        |out| {
                            <i32 as __rpc::Field>::put(f0, 1, out);
                            <Box<Self> as __rpc::Field>::put(f1, 2, out);
                        },
                    )
                }
                Self::Painted(f0) => <Color as __rpc::Value>::put_always(f0, 7, out),
                Self::Unknown => {}
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
                        <() as __rpc::Value>::take_checked(
                                &mut __rpc::Option::None,
                                wire,
                                input,
                            )
                            .map_err(|error| error.within("Event", "started"))?;
                        slot = __rpc::Option::Some(Self::Started);
                    }
                    2 => {
                        let old = slot.take();
                        slot = __rpc::Option::Some(
                            input
                                .message(
                                    wire,
                                    |input| {
                                        let (mut f0, mut f1) = match old {
                                            __rpc::Option::Some(Self::Moved { by: f0, of: f1 }) => {
                                                (__rpc::Option::Some(f0), __rpc::Option::Some(f1))
                                            }
                                            _ => (__rpc::Option::None, __rpc::Option::None),
                                        };
                                        while let __rpc::Option::Some((tag, wire)) = input.key()? {
                                            match tag {
                                                1 => {
                                                    <i32 as __rpc::Field>::take(&mut f0, wire, input)
                                                        .map_err(|error| error.within("Event", "by"))?
                                                }
                                                2 => {
                                                    <Box<Self> as __rpc::Field>::take(&mut f1, wire, input)
                                                        .map_err(|error| error.within("Event", "of"))?
                                                }
                                                _ => input.skip(tag, wire)?,
                                            }
                                        }
                                        __rpc::Result::Ok(Self::Moved {
                                            by: <i32 as __rpc::Field>::finish(f0, input)?,
                                            of: <Box<Self> as __rpc::Field>::finish(f1, input)?,
                                        })
                                    },
                                )
                                .map_err(|error| error.within("Event", "moved"))?,
                        );
                    }
                    7 => {
                        let mut f0 = match slot.take() {
                            __rpc::Option::Some(Self::Painted(f0)) => {
                                __rpc::Option::Some(f0)
                            }
                            _ => __rpc::Option::None,
                        };
                        <Color as __rpc::Value>::take_checked(&mut f0, wire, input)
                            .map_err(|error| error.within("Event", "painted"))?;
                        slot = f0.map(Self::Painted);
                    }
                    _ => input.skip(tag, wire)?,
                }
            }
            match slot {
                __rpc::Option::Some(value) => __rpc::Result::Ok(value),
                __rpc::Option::None => __rpc::Result::Ok(Self::Unknown),
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
    Started,
    Moved {
        #[serde(
            serialize_with = "<i32 as ::blixard_rpc::codegen::Field>::serialize",
            deserialize_with = "<i32 as ::blixard_rpc::codegen::Field>::deserialize"
        )]
        by: i32,
        #[serde(
            serialize_with = "<Box < Event > as ::blixard_rpc::codegen::Field>::serialize",
            deserialize_with = "<Box < Event > as ::blixard_rpc::codegen::Field>::deserialize"
        )]
        of: Box<Self>,
    },
    #[tag(7)]
    Painted(
        #[serde(
            serialize_with = "<Color as ::blixard_rpc::codegen::Field>::serialize",
            deserialize_with = "<Color as ::blixard_rpc::codegen::Field>::deserialize"
        )]
        Color,
    ),
    #[unknown]
    Unknown,
}
