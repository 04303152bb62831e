//! Each kind of type comes back as it was.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, SystemTime},
};

use blixard_rpc::message;
use bytes::Bytes;

use super::{CODECS, decode, encode};

#[message]
#[derive(Clone, Debug, Default, PartialEq)]
struct Greeting {
    text: String,
    #[tag(4)]
    at: u64,
}

#[message]
#[derive(Clone, Debug, PartialEq)]
struct Everything {
    flag: bool,
    small: u8,
    number: i32,
    wide: Option<u64>,
    ratio: f32,
    bytes: Vec<u8>,
    blob: Bytes,
    key: [u8; 4],
    greeting: Greeting,
    maybe: Option<Greeting>,
    many: Vec<Greeting>,
    numbers: Vec<i64>,
    words: Vec<String>,
    by_name: HashMap<String, Greeting>,
    by_number: BTreeMap<i32, f64>,
    wait: Duration,
    at: SystemTime,
    later: Option<SystemTime>,
    color: Color,
    colors: Vec<Color>,
    shape: Shape,
    next: Option<Box<Self>>,
    unit: (),
    #[prost]
    old: Option<prost_types::Timestamp>,
    #[prost]
    olds: Vec<prost_types::Duration>,
    #[prost]
    by_old: HashMap<u32, prost_types::Timestamp>,
}

#[message]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Color {
    Red,
    Green = 5,
    Blue,
    #[unknown]
    Other(i32),
}

#[message]
#[derive(Clone, Debug, PartialEq)]
enum Shape {
    Nothing,
    Circle(f64),
    #[tag(7)]
    Named {
        name: String,
        color: Color,
    },
    Inside(Box<Self>),
    Old(#[prost] prost_types::Timestamp),
}

#[message]
#[derive(Clone, Debug, PartialEq)]
struct Nothing;

fn everything() -> Everything {
    Everything {
        flag: true,
        small: 200,
        number: -5,
        wide: Some(0),
        ratio: 0.5,
        bytes: vec![1, 2, 3],
        blob: Bytes::from_static(b"blob"),
        key: [1, 2, 3, 4],
        greeting: Greeting::default(),
        maybe: None,
        many: vec![Greeting::default(), greeting()],
        numbers: vec![1, -1, i64::MAX],
        words: vec![String::new(), "word".into()],
        by_name: [
            ("a".into(), greeting()),
            (String::new(), Greeting::default()),
        ]
        .into(),
        by_number: [(-1, 0.0), (0, 1.5)].into(),
        wait: Duration::from_millis(1500),
        at: SystemTime::UNIX_EPOCH - Duration::from_millis(1),
        later: None,
        color: Color::Green,
        colors: vec![Color::Red, Color::Other(77), Color::Blue],
        shape: Shape::Inside(Box::new(Shape::Named {
            name: "x".into(),
            color: Color::Red,
        })),
        next: None,
        unit: (),
        old: Some(prost_types::Timestamp {
            seconds: 7,
            nanos: 0,
        }),
        olds: vec![prost_types::Duration::default()],
        by_old: [(3, prost_types::Timestamp::default())].into(),
    }
}

fn greeting() -> Greeting {
    Greeting {
        text: "hello".into(),
        at: 300,
    }
}

#[track_caller]
fn check<T: blixard_rpc::Message + PartialEq + std::fmt::Debug>(value: &T) {
    for codec in CODECS {
        let bytes = encode(value, codec);
        assert_eq!(&decode::<T>(codec, bytes).unwrap(), value, "{codec:?}");
    }
}

#[test]
fn all_kinds_of_types_come_back() {
    check(&greeting());
    check(&Nothing);
    check(&everything());
    check(&Everything {
        next: Some(Box::new(everything())),
        maybe: Some(greeting()),
        shape: Shape::Old(prost_types::Timestamp::default()),
        ..everything()
    });
    for shape in [
        Shape::Nothing,
        Shape::Circle(0.0),
        Shape::Inside(Box::new(Shape::Nothing)),
    ] {
        check(&shape);
    }
    check(&String::from("text"));
    check(&7_u64);
    check(&());
}
