use blixard_rpc::message;

use std::net::IpAddr;

#[message]
struct Greeting {
    from: IpAddr,
}

fn main() {}
