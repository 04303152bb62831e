use blixard_rpc::message;

#[message]
#[within(Lamp)]
enum Shade {
    Dark,
    ShadeDark,
    #[unknown]
    Other(i32),
}

fn main() {}
