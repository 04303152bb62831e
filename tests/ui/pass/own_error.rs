//! Errors of one's own beside `Status`, and an alias of one's own for `Result`.
#![deny(warnings)]

use blixard_rpc::{Code, Status, Streaming, iroh_service};

#[derive(Debug, PartialEq)]
pub enum BankError {
    Broke,
    Other(String),
}

impl From<Status> for BankError {
    fn from(status: Status) -> Self {
        match status.code() {
            Code::FailedPrecondition => Self::Broke,
            _ => Self::Other(status.to_string()),
        }
    }
}

impl From<BankError> for Status {
    fn from(error: BankError) -> Self {
        match error {
            BankError::Broke => Self::failed_precondition("no money"),
            BankError::Other(message) => Self::unknown(message),
        }
    }
}

type Result<T> = std::result::Result<T, BankError>;

#[iroh_service]
pub trait Bank {
    async fn draw(&self, amount: u64) -> Result<u64>;
    async fn plain(&self) -> blixard_rpc::Result<()>;
    async fn explicit(&self) -> core::result::Result<(), BankError>;
    async fn history(&self) -> Result<Streaming<u64, BankError>>;
    async fn deposit(&self, amounts: Streaming<u64, BankError>) -> Result<u64>;
}

struct Poor;

impl Bank for Poor {
    async fn draw(&self, amount: u64) -> Result<u64> {
        if amount > 10 {
            return Err(BankError::Broke);
        }
        Ok(10 - amount)
    }
    async fn plain(&self) -> blixard_rpc::Result<()> {
        Err(Status::aborted("later"))
    }
    async fn explicit(&self) -> Result<()> {
        Err(BankError::Other("what".into()))
    }
    async fn history(&self) -> Result<Streaming<u64, BankError>> {
        let (sender, stream) = Streaming::channel(2);
        sender.send(1).await.unwrap();
        sender.fail(BankError::Broke).await.unwrap();
        Ok(stream)
    }
    async fn deposit(&self, amounts: Streaming<u64, BankError>) -> Result<u64> {
        Ok(amounts.collect().await?.into_iter().sum())
    }
}

fn main() {
    blixard_rpc::block_on(async {
        let bank = BankClient::new(BankServer::new(Poor));
        assert_eq!(bank.draw(3).await, Ok(7));
        assert_eq!(bank.draw(30).await, Err(BankError::Broke));
        assert_eq!(bank.plain().await.unwrap_err().code(), Code::Aborted);
        let explicit = bank.explicit().await.unwrap_err();
        assert_eq!(explicit, BankError::Other("UNKNOWN: what".into()));
        let mut history = bank.history().await.unwrap();
        assert_eq!(history.next().await, Some(Ok(1)));
        assert_eq!(history.next().await, Some(Err(BankError::Broke)));
        let amounts = Streaming::from_iter([1, 2, 3]);
        assert_eq!(bank.deposit(amounts).await, Ok(6));
    });
}
