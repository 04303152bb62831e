//! Properties of `#[message]` over arbitrary values: round trips, prost's bytes, unknown parts, garbage.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use blixard_rpc::{Message, codec::Codec, message};
use bytes::{BufMut, Bytes, BytesMut};
use proptest::{collection::vec, option::of, prelude::*};
use prost::{
    Message as _,
    encoding::{WireType, encode_key, encode_varint},
};

use super::{
    CODECS, decode, encode, generated,
    kitchen::{Choice, Color, Numbers, Tree, Wide},
};

proptest! {
    #[test]
    fn all_values_come_back(value in wide()) {
        for codec in CODECS {
            let decoded = decode::<Wide>(codec, encode(&value, codec)).unwrap();
            prop_assert_eq!(&decoded, &value);
        }
    }

    /// The values of prost's own structs, converted field by field, encode to our bytes, and ours to theirs.
    #[test]
    fn bytes_are_those_of_prost(value in wide()) {
        let ours = encode(&value, Codec::Protobuf);
        let theirs = generated::Wide::from(value.clone()).encode_to_vec();
        prop_assert_eq!(&ours[..], &theirs[..]);
        let again = prost_decode(&ours).unwrap();
        prop_assert_eq!(again.encode_to_vec(), theirs);
    }

    #[test]
    fn postcard_is_that_of_the_crate(value in wide()) {
        let bytes = encode(&value, Codec::Postcard);
        prop_assert_eq!(&bytes[..], &postcard::to_stdvec(&value).unwrap()[..]);
        let theirs: Wide = postcard::from_bytes(&bytes).unwrap();
        prop_assert_eq!(theirs, value);
    }

    #[test]
    fn unknown_fields_are_skipped(value in numbers(), extra in vec(unknown_field(), 0..5)) {
        // Before and after the fields that are known.
        let mut bytes = BytesMut::new();
        extra.iter().for_each(|field| bytes.extend_from_slice(field));
        bytes.extend_from_slice(&encode(&value, Codec::Protobuf));
        extra.iter().for_each(|field| bytes.extend_from_slice(field));
        let decoded = decode::<Numbers>(Codec::Protobuf, bytes).unwrap();
        // Minus zero is equal to zero.
        prop_assert_eq!(decoded, value);
    }

    #[test]
    fn garbage_is_an_error_or_a_value(bytes in vec(any::<u8>(), 0..200)) {
        for codec in CODECS {
            let _ = decode::<Wide>(codec, bytes.clone());
            let _ = decode::<Choice>(codec, bytes.clone());
            let _ = decode::<Tree>(codec, bytes.clone());
            let _ = decode::<generated::Wide>(codec, bytes.clone());
        }
    }

    #[test]
    fn truncated_and_garbled_messages(value in wide(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        for codec in CODECS {
            let bytes = encode(&value, codec);
            let at = at.index(bytes.len().max(1));
            let _ = decode::<Wide>(codec, bytes.slice(..at.min(bytes.len())));
            let mut garbled = bytes.to_vec();
            if let Some(place) = garbled.get_mut(at) {
                *place = byte;
            }
            let _ = decode::<Wide>(codec, garbled);
            if codec == Codec::Postcard {
                let cut = bytes.slice(..bytes.len() - 1);
                prop_assert!(decode::<Wide>(codec, cut).is_err());
                let longer = [&bytes[..], &[byte]].concat();
                prop_assert!(decode::<Wide>(codec, longer).is_err());
            }
        }
    }

    /// A message in two halves, one after the other, is the two merged, as prost merges them.
    #[test]
    fn messages_merge_as_those_of_prost(first in wide(), second in wide()) {
        let bytes = [encode(&first, Codec::Protobuf), encode(&second, Codec::Protobuf)].concat();
        let ours = decode::<Wide>(Codec::Protobuf, bytes.clone()).unwrap();
        let theirs = prost_decode(&bytes).unwrap();
        prop_assert_eq!(encode(&ours, Codec::Protobuf), theirs.encode_to_vec());
    }
}

#[test]
fn unknown_numbers_are_kept() {
    for number in [1, 0, -4, 2, 77, -1, i32::MAX, i32::MIN] {
        let theirs = generated::Wide {
            color: number,
            colors: vec![number],
            ..generated::Wide::default()
        };
        let bytes = theirs.encode_to_vec();
        let ours = decode::<Wide>(Codec::Protobuf, bytes).unwrap();
        let expected = match number {
            1 => Color::Red,
            0 => Color::Unspecified,
            -4 => Color::DarkBlue,
            other => Color::Other(other),
        };
        assert_eq!((ours.color, &ours.colors[..]), (expected, &[expected][..]));
        let again = prost_decode(&encode(&ours, Codec::Protobuf)).unwrap();
        assert_eq!((again.color, again.colors), (number, vec![number]));
    }
}

/// Lists of numbers come in one piece, in several, or one by one.
#[test]
fn lists_need_not_be_packed() {
    #[message]
    #[derive(Debug, PartialEq)]
    struct Lists {
        numbers: Vec<i64>,
        floats: Vec<f32>,
        colors: Vec<Color>,
    }
    let mut bytes = BytesMut::new();
    for number in [1, 300] {
        encode_key(1, WireType::Varint, &mut bytes);
        encode_varint(number, &mut bytes);
    }
    bytes.extend_from_slice(&[0x0A, 2, 7, 8]);
    encode_key(2, WireType::ThirtyTwoBit, &mut bytes);
    bytes.put_f32_le(1.5);
    encode_key(3, WireType::Varint, &mut bytes);
    encode_varint(1, &mut bytes);
    assert_eq!(
        decode::<Lists>(Codec::Protobuf, bytes).unwrap(),
        Lists {
            numbers: vec![1, 300, 7, 8],
            floats: vec![1.5],
            colors: vec![Color::Red],
        }
    );
}

#[test]
fn an_enum_with_data_and_nothing_set() {
    #[message]
    #[derive(Debug, PartialEq)]
    enum Closed {
        A(u32),
        B(String),
    }
    let status = decode::<Closed>(Codec::Protobuf, vec![]).unwrap_err();
    assert_eq!(status.code(), blixard_rpc::Code::Internal);
    assert!(
        status.message().contains("no variant of Closed"),
        "{status}"
    );
    // A variant that only a newer peer knows.
    let newer = [0x52, 1, 0];
    assert!(decode::<Closed>(Codec::Protobuf, newer.to_vec()).is_err());
    assert_eq!(
        decode::<Choice>(Codec::Protobuf, [0xF2, 0x3F, 0].to_vec()).unwrap(),
        Choice::None
    );
    // The last one wins, and a default is a value too.
    let both = [
        encode(&Closed::B("b".into()), Codec::Protobuf),
        encode(&Closed::A(0), Codec::Protobuf),
    ];
    assert_eq!(
        decode::<Closed>(Codec::Protobuf, both.concat()).unwrap(),
        Closed::A(0)
    );
}

#[test]
fn numbers_that_do_not_fit_are_errors() {
    #[message]
    #[derive(Debug, PartialEq)]
    struct Fits {
        byte: u8,
        short: i16,
        key: [u8; 2],
    }
    for (tag, number) in [(1, 255), (2, 0x7FFF), (2, u64::MAX), (1, 0)] {
        let mut bytes = BytesMut::new();
        encode_key(tag, WireType::Varint, &mut bytes);
        encode_varint(number, &mut bytes);
        decode::<Fits>(Codec::Protobuf, bytes).unwrap();
    }
    for (tag, number) in [(1, 256), (2, 0x8000), (1, u64::from(u32::MAX))] {
        let mut bytes = BytesMut::new();
        encode_key(tag, WireType::Varint, &mut bytes);
        encode_varint(number, &mut bytes);
        let status = decode::<Fits>(Codec::Protobuf, bytes).unwrap_err();
        assert!(status.message().contains("Fits."), "{status}");
    }
    let status = decode::<Fits>(Codec::Protobuf, vec![0x1A, 1, 7]).unwrap_err();
    assert!(
        status
            .message()
            .contains("Fits.key: expected 2 bytes, found 1"),
        "{status}"
    );
}

/// `Bytes` are part of the message that they came in.
#[test]
fn bytes_are_not_copied() {
    let value = generated::Wide {
        blob: Bytes::from(vec![7; 1000]),
        blobs: vec![Bytes::from(vec![8; 1000])],
        ..generated::Wide::default()
    };
    let message = Bytes::from(value.encode_to_vec());
    let range = message.as_ptr_range();
    let decoded = decode::<Wide>(Codec::Protobuf, message.clone()).unwrap();
    assert!(range.contains(&decoded.blob.as_ptr()));
    assert!(range.contains(&decoded.blobs[0].as_ptr()));
}

/// Prost's scalars are the wrappers of protobuf, on their own and in both codecs.
#[test]
fn scalars_are_wrappers() {
    #[message]
    #[derive(Debug, PartialEq)]
    struct Wrapper {
        value: String,
    }
    let wrapped = Wrapper { value: "x".into() };
    for codec in CODECS {
        assert_eq!(
            encode(&"x".to_owned(), codec),
            encode(&wrapped, Codec::Protobuf)
        );
    }
    fn check<T: Message + PartialEq + std::fmt::Debug>(value: &T) {
        for codec in CODECS {
            assert_eq!(decode::<T>(codec, encode(value, codec)).unwrap(), *value);
        }
    }
    check(&true);
    check(&-7_i32);
    check(&i64::MIN);
    check(&7_u32);
    check(&u64::MAX);
    check(&1.5_f32);
    check(&-1.5_f64);
    check(&vec![1_u8, 2]);
    check(&Bytes::from_static(b"xyz"));
    check(&());
}

fn prost_decode(bytes: &[u8]) -> Result<generated::Wide, prost::DecodeError> {
    prost::Message::decode(bytes)
}

fn numbers() -> impl Strategy<Value = Numbers> {
    (
        (any::<bool>(), edge(any::<i32>()), edge(any::<i64>())),
        (edge(any::<u32>()), edge(any::<u64>())),
        (float(any::<f32>()), float(any::<f64>())),
        any::<(u8, u16, i8, i16)>(),
    )
        .prop_map(|((a, b, c), (d, e), (f, g), (h, i, j, k))| Numbers {
            a,
            b,
            c,
            d,
            e,
            f,
            g,
            h,
            i,
            j,
            k,
        })
}

/// Often zero or small, so that defaults and short encodings are met.
fn edge<T: Default + Clone + std::fmt::Debug + From<bool> + 'static>(
    any: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = T> {
    prop_oneof![2 => any, 1 => Just(T::default()), 1 => Just(T::from(true))]
}

/// No NaN, which is equal to nothing.
fn float<T: PartialEq + Default + Clone + std::fmt::Debug + std::ops::Neg<Output = T> + 'static>(
    any: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = T> {
    #[expect(clippy::eq_op, reason = "NaN is not equal to itself")]
    let numbers = any.prop_filter("NaN", |value| value == value);
    prop_oneof![3 => numbers, 1 => Just(T::default()), 1 => Just(-T::default())]
}

fn color() -> impl Strategy<Value = Color> {
    prop_oneof![
        Just(Color::Red),
        Just(Color::Unspecified),
        Just(Color::DarkBlue),
        any::<i32>()
            .prop_filter("known", |number| ![0, 1, -4].contains(number))
            .prop_map(Color::Other),
    ]
}

fn duration() -> impl Strategy<Value = Duration> {
    (edge(0..315_576_000_001_u64), 0..1_000_000_000_u32).prop_map(|(s, n)| Duration::new(s, n))
}

fn time() -> impl Strategy<Value = SystemTime> {
    (any::<bool>(), 0..62_135_596_800_u64, 0..1_000_000_000_u32).prop_map(|(after, s, n)| {
        let since = Duration::new(s, n);
        if after {
            SystemTime::UNIX_EPOCH + since
        } else {
            SystemTime::UNIX_EPOCH - since
        }
    })
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = ".{0,3}".prop_map(|name| Tree {
        name,
        ..Tree::default()
    });
    leaf.prop_recursive(4, 12, 3, |tree| {
        (
            ".{0,3}",
            vec(tree.clone(), 0..3),
            of(tree.clone().prop_map(Box::new)),
            prop::collection::btree_map(".{0,2}", tree, 0..2),
        )
            .prop_map(|(name, children, left, by_name)| Tree {
                name,
                children,
                left,
                by_name,
            })
    })
}

fn choice() -> impl Strategy<Value = Choice> {
    prop_oneof![
        Just(Choice::Silence),
        ".{0,5}".prop_map(Choice::Text),
        edge(any::<i64>()).prop_map(Choice::Number),
        color().prop_map(Choice::Color),
        (".{0,5}", of(edge(any::<u32>())), vec(color(), 0..4))
            .prop_map(|(left, right, more)| Choice::Pair { left, right, more }),
        duration().prop_map(Choice::Wait),
        tree().prop_map(|tree| Choice::Tree(Box::new(tree))),
        Just(Choice::None),
    ]
}

fn blob() -> impl Strategy<Value = Bytes> {
    // Lengths of one and of two bytes.
    prop_oneof![vec(any::<u8>(), 0..10), vec(any::<u8>(), 100..200)].prop_map(Bytes::from)
}

fn wide() -> impl Strategy<Value = Wide> {
    (
        (
            numbers(),
            ".{0,9}",
            blob(),
            blob(),
            of(".{0,9}"),
            of(blob()),
            of(edge(any::<u32>())),
            of(color()),
            of(duration()),
            edge(any::<i32>()),
            of(time()),
        ),
        (
            vec(edge(any::<i64>()), 0..20),
            vec(float(any::<f32>()), 0..40),
            vec(any::<bool>(), 0..5),
            vec(".{0,5}", 0..4),
            vec(blob(), 0..3),
            vec(duration(), 0..3),
            vec(numbers(), 0..4),
            vec(color(), 0..4),
        ),
        (
            prop::collection::btree_map(".{0,3}", edge(any::<u64>()), 0..4),
            prop::collection::btree_map(edge(any::<i32>()), numbers_or_none(), 0..4),
            prop::collection::btree_map(any::<bool>(), color(), 0..3),
            of(choice()),
            vec(choice(), 0..4),
            color(),
            of(Just(())),
            of(tree().prop_map(Box::new)),
        ),
    )
        .prop_map(
            |(
                (
                    numbers,
                    text,
                    bytes,
                    blob,
                    maybe_text,
                    maybe_bytes,
                    maybe_number,
                    maybe_color,
                    wait,
                    far,
                    at,
                ),
                (packed, floats, flags, texts, blobs, waits, many, colors),
                (counts, by_number, by_flag, choice, choices, color, unit, tree),
            )| Wide {
                numbers,
                text,
                bytes: bytes.to_vec(),
                blob,
                maybe_text,
                maybe_bytes: maybe_bytes.map(Vec::from),
                maybe_number,
                maybe_color,
                wait,
                far,
                at,
                packed,
                floats,
                flags,
                texts,
                blobs,
                waits,
                many,
                colors,
                counts,
                by_number,
                by_flag,
                choice,
                choices,
                color,
                unit,
                tree,
            },
        )
}

/// Often empty, which a map leaves out.
fn numbers_or_none() -> impl Strategy<Value = Numbers> {
    prop_oneof![numbers(), Just(Numbers::default())]
}

/// A field that no message here has.
fn unknown_field() -> impl Strategy<Value = Vec<u8>> {
    let tag = prop_oneof![100..200_u32, Just(536_870_911)];
    (tag, 0..5_u8, any::<u64>(), vec(any::<u8>(), 0..20)).prop_map(|(tag, kind, number, bytes)| {
        let mut out = BytesMut::new();
        match kind {
            0 => {
                encode_key(tag, WireType::Varint, &mut out);
                encode_varint(number, &mut out);
            }
            1 => {
                encode_key(tag, WireType::SixtyFourBit, &mut out);
                out.put_u64(number);
            }
            2 => {
                encode_key(tag, WireType::ThirtyTwoBit, &mut out);
                out.put_u32(number as u32);
            }
            3 => {
                encode_key(tag, WireType::LengthDelimited, &mut out);
                encode_varint(bytes.len() as u64, &mut out);
                out.extend_from_slice(&bytes);
            }
            _ => {
                encode_key(tag, WireType::StartGroup, &mut out);
                encode_key(1, WireType::Varint, &mut out);
                encode_varint(number, &mut out);
                encode_key(tag, WireType::EndGroup, &mut out);
            }
        }
        out.to_vec()
    })
}

impl From<Numbers> for generated::Numbers {
    fn from(value: Numbers) -> Self {
        Self {
            a: value.a,
            b: value.b,
            c: value.c,
            d: value.d,
            e: value.e,
            f: value.f,
            g: value.g,
            h: value.h.into(),
            i: value.i.into(),
            j: value.j.into(),
            k: value.k.into(),
        }
    }
}

impl From<Color> for i32 {
    fn from(value: Color) -> Self {
        match value {
            Color::Red => generated::Color::Red.into(),
            Color::Unspecified => generated::Color::Unspecified.into(),
            Color::DarkBlue => generated::Color::DarkBlue.into(),
            Color::Other(number) => number,
        }
    }
}

impl From<Tree> for generated::Tree {
    fn from(value: Tree) -> Self {
        Self {
            name: value.name,
            children: value.children.into_iter().map(Into::into).collect(),
            left: value.left.map(|tree| Box::new((*tree).into())),
            by_name: map(value.by_name),
        }
    }
}

impl From<Choice> for generated::Choice {
    fn from(value: Choice) -> Self {
        use generated::choice::{Kind, Pair};
        Self {
            kind: match value {
                Choice::Silence => Some(Kind::Silence(())),
                Choice::Text(text) => Some(Kind::Text(text)),
                Choice::Number(number) => Some(Kind::Number(number)),
                Choice::Color(color) => Some(Kind::Color(color.into())),
                Choice::Pair { left, right, more } => Some(Kind::Pair(Pair {
                    left,
                    right,
                    more: more.into_iter().map(Into::into).collect(),
                })),
                Choice::Wait(wait) => Some(Kind::Wait(wait.try_into().unwrap())),
                Choice::Tree(tree) => Some(Kind::Tree((*tree).into())),
                Choice::None => None,
            },
        }
    }
}

impl From<Wide> for generated::Wide {
    fn from(value: Wide) -> Self {
        fn all<T, U: From<T>>(values: Vec<T>) -> Vec<U> {
            values.into_iter().map(Into::into).collect()
        }
        Self {
            numbers: Some(value.numbers.into()),
            text: value.text,
            bytes: value.bytes,
            blob: value.blob,
            maybe_text: value.maybe_text,
            maybe_bytes: value.maybe_bytes,
            maybe_number: value.maybe_number,
            maybe_color: value.maybe_color.map(Into::into),
            wait: value.wait.map(|wait| wait.try_into().unwrap()),
            far: value.far,
            at: value.at.map(Into::into),
            packed: value.packed,
            floats: value.floats,
            flags: value.flags,
            texts: value.texts,
            blobs: value.blobs,
            waits: value
                .waits
                .into_iter()
                .map(|wait| wait.try_into().unwrap())
                .collect(),
            many: all(value.many),
            colors: all(value.colors),
            counts: value.counts,
            by_number: map(value.by_number),
            by_flag: map(value.by_flag),
            choice: value.choice.map(Into::into),
            choices: all(value.choices),
            color: value.color.into(),
            unit: value.unit,
            tree: value.tree.map(|tree| (*tree).into()),
        }
    }
}

fn map<K: Ord, T, U: From<T>>(map: BTreeMap<K, T>) -> BTreeMap<K, U> {
    map.into_iter()
        .map(|(key, value)| (key, value.into()))
        .collect()
}
