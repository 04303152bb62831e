use blixard_rpc::message;

#[message]
pub struct Order {
    #[reserved(1)]
    id: String,
}

#[message]
pub enum Event {
    #[reserved(1)]
    Lost,
    Found(u32),
}

fn main() {}
