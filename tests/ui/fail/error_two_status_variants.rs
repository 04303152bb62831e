use blixard_rpc::{RpcError, Status};

#[derive(Debug, RpcError)]
enum BankError {
    #[rpc(status)]
    Other(Status),
    #[rpc(status)]
    Another(Status),
}

fn main() {
    let _ = BankError::from(Status::aborted("x"));
}
