use blixard_rpc::message;

#[message]
enum Color {
    Red,
    #[unknown]
    Other,
}

fn main() {}
