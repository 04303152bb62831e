use blixard_rpc::{RpcError, Status};

#[derive(Debug, RpcError)]
enum BankError {
    #[rpc(kode = "NOT_FOUND", message = "closed")]
    Closed,
    #[rpc(status)]
    Other(Status),
}

fn main() {
    let _ = BankError::from(Status::aborted("x"));
}
