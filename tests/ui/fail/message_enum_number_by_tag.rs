use blixard_rpc::message;

#[message]
enum Color {
    Red,
    #[tag(5)]
    Green,
    #[unknown]
    Other(i32),
}

fn main() {}
