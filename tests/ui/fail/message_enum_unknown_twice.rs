use blixard_rpc::message;

#[message]
enum Event {
    Moved { by: i32 },
    #[unknown]
    Nothing,
    #[unknown]
    Other,
}

fn main() {}
