use blixard_rpc::message;

#[message]
enum Event {
    Moved { by: i32 },
    #[unknown]
    Other(i32),
    Ended,
    More { x: u32 },
}

fn main() {}
