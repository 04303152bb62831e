use blixard_rpc::message;

#[message]
struct Greeting {
    #[tag(0)]
    text: String,
}

fn main() {}
