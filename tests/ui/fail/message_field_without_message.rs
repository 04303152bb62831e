use blixard_rpc::message;

struct Address {
    street: String,
}

#[message]
struct Greeting {
    to: Address,
}

fn main() {}
