use blixard_rpc::{RpcError, Status};

#[derive(Debug, RpcError)]
struct BankError {
    _id: u64,
}

fn main() {
    let _ = BankError::from(Status::aborted("x"));
}
