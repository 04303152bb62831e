//! What was removed and renamed, and what is on its way out: none of it makes generated code warn.
#![deny(warnings, missing_docs, clippy::all)]

use blixard_rpc::{Memory, Result, Router, iroh_service, message};

/// An order.
#[message]
#[proto_name("Order")]
#[reserved(2, 5..=7, "note")]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OrderV1 {
    /// Which.
    pub id: String,
    /// How much, in the old currency.
    #[deprecated]
    #[tag(3)]
    pub price: u32,
    /// What was.
    pub event: Option<Event>,
}

/// What can be.
#[message]
#[deprecated = "ask for the order"]
#[reserved(1, -5..=-3, 9..=2147483647, "STATE_PAID")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum State {
    /// Not yet.
    Open,
    /// Already.
    #[deprecated]
    Sent = 2,
    /// What is newer.
    #[unknown]
    Other(i32),
}

/// What was.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Somewhere else.
    #[reserved(1, "by")]
    Moved {
        /// Where.
        #[tag(2)]
        #[deprecated]
        to: u32,
    },
    /// Nowhere.
    #[deprecated]
    Lost,
}

/// The name of the trait is no name in protobuf.
#[iroh_service(name = "Cafe", file_descriptor_set = NOTHING)]
pub trait Café {
    /// Takes one.
    async fn order(&self, what: String, many: u32) -> Result<OrderV1>;
}

/// Is not looked at before somebody asks for a schema.
const NOTHING: &[u8] = &[];

struct Nero;

impl Café for Nero {
    async fn order(&self, what: String, _: u32) -> Result<OrderV1> {
        Ok(OrderV1 {
            id: what,
            ..OrderV1::default()
        })
    }
}

fn main() {
    let order = blixard_rpc::block_on(async {
        let client = CaféClient::new(Memory::new(Router::new().add(CaféServer::new(Nero))));
        client.order("tea".into(), 2).await
    });
    assert_eq!(order.unwrap().id, "tea");
}
