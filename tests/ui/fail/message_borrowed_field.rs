use blixard_rpc::message;

#[message]
struct Greeting {
    text: &'static str,
}

fn main() {}
