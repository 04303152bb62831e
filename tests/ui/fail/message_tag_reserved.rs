use blixard_rpc::message;

#[message]
struct Greeting {
    #[tag(19500)]
    text: String,
}

fn main() {}
