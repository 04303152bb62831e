use blixard_rpc::message;

#[message]
enum Color {
    Red,
    Green,
}

fn main() {}
