use blixard_rpc::message;

#[message]
enum Color {
    Red = 1,
    Green = 2,
    #[unknown]
    Other(i32),
}

fn main() {}
