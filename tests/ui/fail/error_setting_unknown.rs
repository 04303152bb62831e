use blixard_rpc::{RpcError, Status};

#[derive(Debug, RpcError)]
#[rpc(pakage = "bank.v1")]
enum BankError {
    #[rpc(status)]
    Other(Status),
}

fn main() {
    let _ = BankError::from(Status::aborted("x"));
}
