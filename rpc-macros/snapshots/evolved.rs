/// Something that was changed.
#[message]
#[proto_name("Order")]
#[reserved(2, 5..=7, "note")]
pub struct OrderV1 {
    pub id: String,
    #[deprecated]
    #[tag(3)]
    pub price: u32,
}

#[message]
#[deprecated = "ask for the order"]
#[reserved(1, -5..=-3, "STATE_PAID")]
pub enum State {
    Open,
    #[deprecated]
    Sent = 2,
    #[unknown]
    Other(i32),
}

#[message]
enum Event {
    #[reserved(1, "by")]
    Moved {
        #[tag(2)]
        to: u32,
    },
    #[deprecated]
    Lost,
}
