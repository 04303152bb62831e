use blixard_rpc::message;

#[message]
struct Greeting(String);

fn main() {}
