use blixard_rpc::message;

#[message]
struct Greeting {
    texts: Vec<Option<String>>,
}

fn main() {}
