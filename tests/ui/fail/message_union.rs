use blixard_rpc::message;

#[message]
union Word {
    number: u32,
    float: f32,
}

fn main() {}
