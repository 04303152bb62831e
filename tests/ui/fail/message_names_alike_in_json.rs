use blixard_rpc::message;

#[message]
#[allow(non_snake_case)]
struct Greeting {
    from_name: String,
    text: String,
    fromName: String,
}

fn main() {}
