//! What a peer sends decodes within a budget: never an abort, never seconds of work.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use blixard_rpc::{
    Code, Message,
    codec::Codec,
    message,
    proto::{MAX_DEPTH, MAX_NESTED_BYTES, MEMORY_FACTOR, MEMORY_FLOOR_BYTES, MIN_VALUE_BYTES},
};
use bytes::{BufMut, Bytes, BytesMut};
use prost::encoding::{WireType, encode_key, encode_varint};

use super::{CODECS, decode, encode, kitchen::Tree};

#[message]
#[derive(Debug, PartialEq)]
enum Nested {
    Leaf,
    Deeper(Box<Self>),
    Fields { inner: Box<Self> },
}

#[message]
#[derive(Debug, Default, PartialEq)]
struct Units {
    units: Vec<()>,
}

#[message]
#[derive(Debug, Default, PartialEq)]
struct Empty;

#[message]
#[derive(Debug, Default, PartialEq)]
#[allow(clippy::vec_box, reason = "what a box takes is charged too")]
struct Many {
    empties: Vec<Empty>,
    large: Vec<Large>,
    boxes: Vec<Box<Large>>,
    by_name: HashMap<String, Large>,
    by_number: BTreeMap<u64, Large>,
}

/// 2400 bytes in memory, and none on the wire.
#[message]
#[derive(Debug, Default, PartialEq)]
struct Large {
    a: Option<Medium>,
    b: Option<Medium>,
    c: Option<Medium>,
    d: Option<Medium>,
    e: Option<Medium>,
}

#[message]
#[derive(Debug, Default, PartialEq)]
struct Medium {
    a: Option<Small>,
    b: Option<Small>,
    c: Option<Small>,
    d: Option<Small>,
    e: Option<Small>,
}

#[message]
#[derive(Debug, Default, PartialEq)]
struct Small {
    a: String,
    b: String,
    c: String,
    d: String,
}

/// Fields of every kind, for frames as large as they become.
#[message]
#[derive(Debug, Default, PartialEq)]
struct Fat {
    next: Option<Box<Self>>,
    list: Vec<Self>,
    a: Option<Large>,
    b: Option<Large>,
    map: HashMap<String, Self>,
}

/// What a language has: many variants, most of which hold others.
#[message]
#[derive(Debug, PartialEq)]
enum Expression {
    Number(f64),
    Text(String),
    Not(Box<Self>),
    Call {
        name: String,
        arguments: Vec<Self>,
    },
    Add {
        left: Box<Self>,
        right: Box<Self>,
        line: u32,
        column: u32,
        text: String,
    },
    Subtract {
        left: Box<Self>,
        right: Box<Self>,
        line: u32,
        column: u32,
        text: String,
    },
    Multiply {
        left: Box<Self>,
        right: Box<Self>,
        line: u32,
        column: u32,
        text: String,
    },
    Divide {
        left: Box<Self>,
        right: Box<Self>,
        line: u32,
        column: u32,
        text: String,
    },
    And {
        left: Box<Self>,
        right: Box<Self>,
        line: u32,
        column: u32,
        text: String,
    },
    Or {
        left: Box<Self>,
        right: Box<Self>,
        line: u32,
        column: u32,
        text: String,
    },
    Less {
        left: Box<Self>,
        right: Box<Self>,
        line: u32,
        column: u32,
        text: String,
    },
    More {
        left: Box<Self>,
        right: Box<Self>,
        line: u32,
        column: u32,
        text: String,
    },
    Equal {
        left: Box<Self>,
        right: Box<Self>,
        line: u32,
        column: u32,
        text: String,
    },
    Index {
        left: Box<Self>,
        right: Box<Self>,
        line: u32,
        column: u32,
        text: String,
    },
    Assign {
        left: Box<Self>,
        right: Box<Self>,
        line: u32,
        column: u32,
        text: String,
    },
    Shift {
        left: Box<Self>,
        right: Box<Self>,
        line: u32,
        column: u32,
        text: String,
    },
    If {
        condition: Box<Self>,
        then: Box<Self>,
        or: Option<Box<Self>>,
    },
    #[unknown]
    Unknown,
}

/// That it fails so, and at once.
#[track_caller]
fn refused<T: Message>(codec: Codec, bytes: impl Into<Bytes>, code: Code) {
    let bytes = bytes.into();
    let start = Instant::now();
    let Err(status) = decode::<T>(codec, bytes) else {
        panic!("{codec:?} decodes");
    };
    assert_eq!(status.code(), code, "{codec:?}: {status}");
    assert!(start.elapsed() < Duration::from_secs(5), "{codec:?}");
}

/// A stack as small as those of the worker threads of a runtime.
fn on_small_stack(test: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(test)
        .unwrap()
        .join()
        .unwrap();
}

/// A message with a message in the first of the fields, which has one in the second, and so on, the last one first again.
fn nested_protobuf(depth: usize, tags: &[u32]) -> Bytes {
    // From the inside out, so written backwards.
    let mut reversed: Vec<u8> = Vec::new();
    let mut head = BytesMut::new();
    for level in (0..depth).rev() {
        head.clear();
        encode_key(
            tags[level % tags.len()],
            WireType::LengthDelimited,
            &mut head,
        );
        encode_varint(reversed.len() as u64, &mut head);
        reversed.extend(head.iter().rev());
    }
    reversed.reverse();
    reversed.into()
}

#[test]
fn a_million_levels() {
    on_small_stack(|| {
        let code = Code::ResourceExhausted;
        refused::<Nested>(Codec::Protobuf, nested_protobuf(1_000_000, &[2]), code);
        refused::<Nested>(Codec::Protobuf, nested_protobuf(1_000_000, &[3, 1]), code);
        refused::<Tree>(Codec::Protobuf, nested_protobuf(1_000_000, &[2]), code);
        refused::<Tree>(Codec::Protobuf, nested_protobuf(1_000_000, &[3]), code);
        refused::<Nested>(Codec::Postcard, vec![1; 1_000_000], code);
        refused::<Nested>(Codec::Postcard, vec![2; 1_000_000], code);
        // An empty name, one child: the same again.
        refused::<Tree>(Codec::Postcard, [0, 1].repeat(500_000), code);
        refused::<Fat>(Codec::Postcard, vec![1; 1_000_000], code);
        // Groups that no field knows.
        let mut groups = BytesMut::new();
        (0..1_000_000).for_each(|_| encode_key(99, WireType::StartGroup, &mut groups));
        refused::<Tree>(Codec::Protobuf, groups, Code::Internal);
    });
}

#[test]
fn as_deep_as_it_may_be() {
    on_small_stack(|| {
        for codec in CODECS {
            let nest = |depth: u32| {
                (0..depth).fold(Tree::default(), |tree, _| Tree {
                    left: Some(Box::new(tree)),
                    ..Tree::default()
                })
            };
            let deepest = nest(MAX_DEPTH);
            assert_eq!(
                decode::<Tree>(codec, encode(&deepest, codec)).unwrap(),
                deepest
            );
            refused::<Tree>(
                codec,
                encode(&nest(MAX_DEPTH + 1), codec),
                Code::ResourceExhausted,
            );
            let expression =
                (0..MAX_DEPTH / 2).fold(Expression::Number(1.0), |left, _| Expression::Shift {
                    left: Box::new(left),
                    right: Box::new(Expression::Unknown),
                    line: 1,
                    column: 2,
                    text: String::new(),
                });
            assert_eq!(
                decode::<Expression>(codec, encode(&expression, codec)).unwrap(),
                expression
            );
            // As deep as its size lets it.
            let nest = |depth| {
                (0..depth).fold(Fat::default(), |fat, _| Fat {
                    next: Some(Box::new(fat)),
                    ..Fat::default()
                })
            };
            let depth = MAX_NESTED_BYTES / size_of::<Fat>();
            let deepest = nest(depth);
            assert_eq!(
                decode::<Fat>(codec, encode(&deepest, codec)).unwrap(),
                deepest
            );
            refused::<Fat>(
                codec,
                encode(&nest(depth + 1), codec),
                Code::ResourceExhausted,
            );
        }
    });
}

#[test]
fn four_billion_units() {
    let mut bytes = BytesMut::new();
    encode_varint(u64::from(u32::MAX), &mut bytes);
    refused::<Units>(Codec::Postcard, bytes.freeze(), Code::ResourceExhausted);
    let mut bytes = BytesMut::new();
    encode_varint(u64::MAX, &mut bytes);
    refused::<Units>(Codec::Postcard, bytes.freeze(), Code::ResourceExhausted);
    // As many as the budget has room for are no error.
    let units = Units {
        units: vec![(); MEMORY_FLOOR_BYTES / MIN_VALUE_BYTES],
    };
    for codec in CODECS {
        assert_eq!(
            decode::<Units>(codec, encode(&units, codec)).unwrap(),
            units
        );
    }
}

#[test]
fn a_million_empty_messages() {
    // Two bytes each: as many as their bytes pay for, if they take no memory.
    let empties = [0x0A, 0].repeat(1_000_000);
    assert_eq!(
        decode::<Many>(Codec::Protobuf, empties)
            .unwrap()
            .empties
            .len(),
        1_000_000
    );
    assert!(size_of::<Large>() > 2000);
    for tag in 2..=5 {
        let mut bytes = BytesMut::new();
        for at in 0..200_000_u64 {
            encode_key(tag, WireType::LengthDelimited, &mut bytes);
            match tag {
                // An entry with a key of its own.
                5 => {
                    bytes.put_u8(4);
                    encode_key(1, WireType::Varint, &mut bytes);
                    encode_varint((at % (1 << 14)) | 1 << 20, &mut bytes);
                }
                _ => bytes.put_u8(0),
            }
        }
        refused::<Many>(Codec::Protobuf, bytes, Code::ResourceExhausted);
    }
}

#[test]
fn a_message_that_expands() {
    // No empties, then many large ones of five bytes each.
    let many = |before: &[u8], element: &[u8]| {
        let mut bytes = BytesMut::from(before);
        encode_varint(200_000, &mut bytes);
        (0..200_000).for_each(|_| bytes.extend_from_slice(element));
        bytes
    };
    let code = Code::ResourceExhausted;
    refused::<Many>(Codec::Postcard, many(&[0], &[0; 5]), code);
    refused::<Many>(Codec::Postcard, many(&[0, 0], &[0; 5]), code);
    refused::<Many>(Codec::Postcard, many(&[0, 0, 0], &[0; 6]), code);
    refused::<Many>(Codec::Postcard, many(&[0, 0, 0, 0], &[0; 6]), code);
    // A million are said to come, and none does.
    for before in [vec![], vec![0], vec![0; 2], vec![0; 3], vec![0; 4]] {
        let mut bytes = BytesMut::from(&before[..]);
        encode_varint(1 << 40, &mut bytes);
        assert!(decode::<Many>(Codec::Postcard, bytes).is_err());
    }
}

/// What honest senders send passes, large or small.
#[test]
fn honest_messages_pass() {
    for codec in CODECS {
        // Short, and mostly absent: the floor.
        let short = Many {
            large: (0..100).map(|_| Large::default()).collect(),
            ..Many::default()
        };
        assert_eq!(decode::<Many>(codec, encode(&short, codec)).unwrap(), short);
        // Long, and what is in it is small: the factor.
        let long = Many {
            by_name: (0..20_000)
                .map(|at| {
                    let small = Small {
                        a: "x".repeat(100),
                        ..Small::default()
                    };
                    let medium = Medium {
                        a: Some(small),
                        ..Medium::default()
                    };
                    let large = Large {
                        a: Some(medium),
                        ..Large::default()
                    };
                    (at.to_string(), large)
                })
                .take(700)
                .collect(),
            ..Many::default()
        };
        assert_eq!(decode::<Many>(codec, encode(&long, codec)).unwrap(), long);
        // An empty string is two bytes, and takes 24.
        const { assert!(MEMORY_FACTOR >= 24) };
    }
}
