use blixard_rpc::{RpcError, Status};

#[derive(Debug, RpcError)]
enum BankError {
    #[rpc(message = "broke")]
    Broke {
        #[tag(1)]
        missing: u64,
        #[tag(1)]
        currency: String,
    },
    #[rpc(status)]
    Other(Status),
}

fn main() {
    let _ = BankError::from(Status::aborted("x"));
}
