use blixard_rpc::message;

#[message]
struct Greeting {
    #[serde(skip)]
    text: String,
}

fn main() {}
