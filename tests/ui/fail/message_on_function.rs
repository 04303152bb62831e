use blixard_rpc::message;

#[message]
fn greet() {}

fn main() {}
