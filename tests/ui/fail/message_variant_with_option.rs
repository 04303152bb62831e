use blixard_rpc::message;

#[message]
enum Event {
    Moved(Option<i32>),
    Ended,
}

fn main() {}
