use blixard_rpc::message;

#[message]
#[reserved]
#[reserved()]
#[reserved(0)]
#[reserved(7..=5)]
#[reserved(5..7)]
#[reserved(5..)]
#[reserved(old)]
#[reserved("old name")]
pub struct Order {
    id: String,
}

fn main() {}
