//! Messages need no other dependency, and mind no names around them.
#![deny(warnings)]
#![allow(dead_code)]

use std::collections::{BTreeMap, HashMap};

use blixard_rpc::message;

/// What the macro must not take for what it means.
mod shadowed {
    #![allow(non_camel_case_types)]
    pub struct Option;
    pub struct Result;
    pub struct Some;
    pub struct String;
    pub struct Vec;
    pub trait Value {}
    pub trait Field {}
    pub trait Message {}
    pub mod std {}
    pub mod core {}
    pub mod serde {}
    pub mod prost {}

    #[blixard_rpc::message]
    #[derive(Clone, Debug)]
    pub struct Shadowed {
        pub input: u32,
        pub out: u32,
        pub old: u32,
        pub wire: u32,
        pub tag: u32,
        pub slot: u32,
        pub f0: u32,
        pub f1: u32,
        pub r#type: u32,
        pub serializer: u32,
    }

    #[blixard_rpc::message]
    pub enum Choice {
        Ok { input: u32, out: u32 },
        Err(u32),
        None,
        Some(Shadowed),
    }
}

#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plain {
    pub text: String,
    pub(crate) number: u64,
    private: Vec<u8>,
    #[cfg(any())]
    never: &'static str,
    #[deprecated]
    old: bool,
}

#[message]
#[derive(Clone, Debug, PartialEq)]
struct Unit;

#[message]
struct Braces {}

#[message]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    Low,
    Middle = 10,
    High,
    #[unknown]
    Other(i32),
}

#[message]
#[derive(Clone, Debug)]
enum Expression {
    Number(f64),
    Not(Box<Self>),
    All {
        of: Vec<Self>,
        named: HashMap<String, Expression>,
    },
    Empty,
}

type Id = u64;
type Names = Vec<String>;

#[message]
struct Aliases {
    id: Id,
    names: Names,
    by_id: BTreeMap<Id, Level>,
}

fn main() {
    #[message]
    struct InAFunction {
        plain: Plain,
        next: Option<Box<InAFunction>>,
    }
    fn is_message<T: blixard_rpc::Message>() {}
    is_message::<InAFunction>();
    is_message::<Expression>();
    is_message::<shadowed::Choice>();
    is_message::<Unit>();
    is_message::<Braces>();
    is_message::<String>();
}
