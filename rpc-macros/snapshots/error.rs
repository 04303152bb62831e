#[derive(RpcError)]
#[rpc(package = "bank.v1")]
pub enum BankError {
    /// No such account.
    #[rpc(code = "NOT_FOUND", message = "no account {id}")]
    NoAccount { id: u64 },
    #[rpc(code = "FAILED_PRECONDITION", message = "{0} is missing")]
    #[tag(7)]
    Broke(u64),
    #[rpc(message = "closed")]
    Closed,
    #[rpc(status)]
    Other(Status),
}

#[derive(RpcError)]
pub enum Plain {
    #[rpc(status)]
    Other(Status),
}
