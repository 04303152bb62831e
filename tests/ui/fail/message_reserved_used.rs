use blixard_rpc::message;

#[message]
#[reserved(2, 5..=7, "old")]
pub struct Order {
    id: String,
    // Its number follows from the order.
    price: u32,
    #[tag(6)]
    note: String,
    #[tag(8)]
    old: bool,
}

#[message]
#[reserved(1, "STATE_PAID")]
pub enum State {
    Open,
    Sent,
    Paid = 3,
    #[unknown]
    Other(i32),
}

#[message]
#[reserved("lost")]
pub enum Event {
    #[reserved(1)]
    Moved {
        to: u32,
    },
    Lost,
}

fn main() {}
