use blixard_rpc::Message;

#[derive(Message)]
struct Greeting {
    text: String,
}

fn main() {}
