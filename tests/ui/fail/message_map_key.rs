use blixard_rpc::message;

use std::collections::HashMap;

#[message]
struct Greeting {
    ratios: HashMap<Vec<u8>, String>,
}

fn main() {}
