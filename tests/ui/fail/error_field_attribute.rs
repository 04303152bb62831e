use blixard_rpc::{RpcError, Status};

#[derive(Debug, RpcError)]
enum BankError {
    #[rpc(message = "broke")]
    Broke {
        #[rpc(tag = 1)]
        missing: u64,
    },
    #[rpc(status)]
    Other(Status),
}

fn main() {
    let _ = BankError::from(Status::aborted("x"));
}
