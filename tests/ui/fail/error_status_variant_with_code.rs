use blixard_rpc::{RpcError, Status};

#[derive(Debug, RpcError)]
enum BankError {
    #[rpc(status, code = "NOT_FOUND")]
    Other(Status),
}

fn main() {
    let _ = BankError::from(Status::aborted("x"));
}
