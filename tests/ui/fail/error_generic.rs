use blixard_rpc::{RpcError, Status};

#[derive(Debug, RpcError)]
enum BankError<T> {
    Broke { missing: T },
    #[rpc(status)]
    Other(Status),
}

fn main() {
    let _ = BankError::<u64>::from(Status::aborted("x"));
}
