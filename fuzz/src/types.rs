//! The messages that the targets decode: fields of every type, messages that hold themselves, and what is short on the wire.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, SystemTime},
};

use blixard_rpc::message;
use bytes::Bytes;

/// A field of every type.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub struct Wide {
    pub flag: bool,
    pub small: u8,
    pub short: i16,
    pub number: i32,
    pub wide: Option<u64>,
    pub ratio: f32,
    pub exact: f64,
    pub text: String,
    pub bytes: Vec<u8>,
    pub blob: Bytes,
    pub key: [u8; 4],
    pub leaf: Leaf,
    pub maybe: Option<Leaf>,
    pub many: Vec<Leaf>,
    pub numbers: Vec<i64>,
    pub ratios: Vec<f32>,
    pub flags: Vec<bool>,
    pub words: Vec<String>,
    pub blobs: Vec<Bytes>,
    pub by_name: HashMap<String, Leaf>,
    pub by_number: BTreeMap<i32, String>,
    pub colors_by: BTreeMap<u32, Color>,
    pub wait: Duration,
    pub waits: Vec<Duration>,
    pub at: SystemTime,
    pub later: Option<SystemTime>,
    pub color: Color,
    pub maybe_color: Option<Color>,
    pub colors: Vec<Color>,
    pub choice: Choice,
    pub tree: Option<Box<Tree>>,
    pub unit: (),
    #[prost]
    pub text_of_prost: String,
}

/// A message that holds itself in every way that one can.
#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tree {
    pub value: u64,
    pub next: Option<Box<Self>>,
    pub children: Vec<Self>,
    pub named: BTreeMap<String, Self>,
    pub choice: Option<Box<Choice>>,
}

#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Leaf {
    pub text: String,
    #[tag(4)]
    pub at: u64,
}

#[message]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    Red,
    Green = 5,
    Blue,
    #[unknown]
    Other(i32),
}

#[message]
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    Nothing,
    Number(f64),
    Text(String),
    #[tag(7)]
    Named {
        name: String,
        color: Color,
    },
    Inside(Box<Self>),
    Branch(Box<Tree>),
    Leaf(Leaf),
}

/// What a few bytes can say is long.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub struct Lists {
    pub nothings: Vec<Nothing>,
    pub units: Vec<()>,
    pub leaves: Vec<Leaf>,
    pub bits: Vec<bool>,
    pub words: Vec<String>,
    pub counts: HashMap<u64, u64>,
    pub wide: Vec<Wide>,
}

#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Nothing;
