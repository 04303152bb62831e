use blixard_rpc::message;

#[message]
#[derive(Default)]
struct Address {
    street: String,
}

#[message]
struct Greeting {
    #[prost]
    to: Address,
}

fn main() {}
