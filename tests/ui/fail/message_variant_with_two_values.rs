use blixard_rpc::message;

#[message]
enum Event {
    Moved(i32, i32),
    Ended,
}

fn main() {}
