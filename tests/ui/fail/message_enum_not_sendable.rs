use blixard_rpc::message;

#[message]
#[derive(Default)]
enum Color {
    #[default]
    Red,
    #[unknown]
    Other(i32),
}

fn send<T: blixard_rpc::Message>(_: T) {}

fn main() {
    send(Color::Red);
}
