use blixard_rpc::message;

#[message]
struct Page<T> {
    items: Vec<T>,
}

fn main() {}
