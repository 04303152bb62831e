use blixard_rpc::message;

#[message]
#[allow(non_camel_case_types)]
enum Event {
    Moved(u32),
    Moved_(String),
}

fn main() {}
