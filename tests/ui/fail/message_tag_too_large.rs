use blixard_rpc::message;

#[message]
struct Greeting {
    #[tag(536870912)]
    text: String,
}

fn main() {}
