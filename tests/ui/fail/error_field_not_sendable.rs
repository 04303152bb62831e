use blixard_rpc::{RpcError, Status};

#[derive(Debug, RpcError)]
enum BankError {
    #[rpc(message = "at {at:?}")]
    Broken { at: std::time::Instant },
    #[rpc(status)]
    Other(Status),
}

fn main() {
    let _ = BankError::from(Status::aborted("x"));
}
