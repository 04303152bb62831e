use blixard_rpc::message;

#[message]
struct Greeting {
    #[tag(2)]
    text: String,
    at: u64,
    #[tag(3)]
    by: String,
}

fn main() {}
