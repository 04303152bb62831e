use blixard_rpc::message;

#[message]
enum Color {
    Red,
    Green = 1 << 3,
    #[unknown]
    Other(i32),
}

fn main() {}
