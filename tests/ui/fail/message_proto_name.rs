use blixard_rpc::message;

#[message]
#[proto_name]
pub struct Order {
    id: String,
}

#[message]
#[proto_name("Bestellung mit Größe")]
pub struct Größe {
    #[proto_name("nummer")]
    id: String,
}

fn main() {}
