use blixard_rpc::message;

#[message]
#[tag(1)]
struct Greeting {
    text: String,
}

fn main() {}
