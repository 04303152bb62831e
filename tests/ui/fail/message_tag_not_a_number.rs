use blixard_rpc::message;

#[message]
struct Greeting {
    #[tag = 1]
    text: String,
}

fn main() {}
