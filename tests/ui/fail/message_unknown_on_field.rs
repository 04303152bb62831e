use blixard_rpc::message;

#[message]
struct Greeting {
    #[unknown]
    text: String,
}

fn main() {}
