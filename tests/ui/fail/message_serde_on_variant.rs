use blixard_rpc::message;

#[message]
enum Event {
    #[serde(rename = "s")]
    Started(u64),
    Ended,
}

fn main() {}
