use blixard_rpc::message;

#[message(name = "Hello")]
struct Greeting {
    text: String,
}

fn main() {}
