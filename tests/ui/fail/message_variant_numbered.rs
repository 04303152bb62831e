use blixard_rpc::message;

#[message]
#[repr(u8)]
enum Event {
    Moved { by: i32 } = 4,
    Ended = 5,
}

fn main() {}
