use blixard_rpc::{RpcError, Status};

#[derive(Debug, RpcError)]
enum BankError {
    #[rpc(message = "broke")]
    Broke,
    #[rpc(code = "NOT_FOUND")]
    NoAccount,
    #[rpc(status)]
    Other(Status),
}

fn main() {
    let _ = BankError::from(Status::aborted("x"));
}
