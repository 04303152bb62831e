use blixard_rpc::message;

#[message]
struct Board {
    länge: u32,
    width: u32,
}

#[message]
struct Maß {
    value: u32,
}

#[message]
enum Shape {
    Kreis { größe: u32 },
    Öffnung(u32),
}

#[message]
enum Colour {
    Unspecified = 0,
    Grün = 1,
    // Has no name in protobuf.
    #[unknown]
    Übrig(i32),
}

fn main() {}
