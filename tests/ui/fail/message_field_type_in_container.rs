use blixard_rpc::message;

#[message]
struct Greeting {
    from: Option<std::net::IpAddr>,
}

fn main() {}
