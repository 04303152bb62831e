use blixard_rpc::message;

#[message]
enum Event {
    Moved(i32, i32),
    #[tag(0)]
    Ended { #[serde(skip)] at: u64, #[tag(19000)] by: &'static str },
    #[tag(3)]
    Named(String),
    #[tag(3)]
    Again(String),
}

#[message]
struct Log {
    events: Vec<Event>,
}

fn main() {}
