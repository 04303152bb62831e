use blixard_rpc::iroh_service;

#[iroh_service]
struct Store {
    name: String,
}

fn main() {
    let _ = Store {
        name: String::new(),
    };
}
