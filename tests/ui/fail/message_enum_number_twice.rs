use blixard_rpc::message;

#[message]
enum Color {
    Red,
    Green = 2,
    Blue = 0x2,
    #[unknown]
    Other(i32),
}

fn main() {}
