use blixard_rpc::{RpcError, Status};

#[derive(Debug, RpcError)]
enum BankError {
    #[rpc(code = "NOT_FOUND", message = "no account {id}")]
    NoAccount { id: u64 },
}

fn main() {
    let _ = (BankError::NoAccount { id: 1 }, Status::aborted("x"));
}
