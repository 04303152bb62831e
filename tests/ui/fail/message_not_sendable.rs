use std::time::Duration;

fn send<T: blixard_rpc::Message>(_: T) {}

fn main() {
    send(Duration::ZERO);
}
