use blixard_rpc::message;

#[message]
#[serde(rename_all = "camelCase")]
struct Greeting {
    text: String,
}

fn main() {}
