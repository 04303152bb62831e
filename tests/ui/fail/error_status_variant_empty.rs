use blixard_rpc::{RpcError, Status};

#[derive(Debug, RpcError)]
enum BankError {
    #[rpc(status)]
    Other,
}

fn main() {
    let _ = BankError::from(Status::aborted("x"));
}
