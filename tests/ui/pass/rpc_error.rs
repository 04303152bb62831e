//! An error enum goes over the network and comes back as the same enum, fields included.
#![deny(warnings, missing_docs, clippy::all)]

use std::{error::Error as _, fmt};

use blixard_rpc::{Code, RpcError, Status, Streaming, iroh_service};

/// How a bank fails.
#[derive(Clone, Debug, RpcError)]
#[rpc(package = "bank.v1")]
pub enum BankError {
    /// No such account.
    #[rpc(code = "NOT_FOUND", message = "no account {id}")]
    NoAccount {
        /// Which one.
        id: u64,
    },
    /// Too little money.
    #[rpc(code = "FAILED_PRECONDITION")]
    #[rpc(message = "{missing} {currency:?} are missing")]
    Broke {
        /// How much more it takes.
        missing: u64,
        /// Of what.
        #[tag(5)]
        currency: String,
        /// Not in the message.
        history: Vec<u64>,
    },
    /// One value.
    #[rpc(message = "limit {0:03} {{0}}")]
    #[tag(9)]
    Limit(u32),
    /// Nothing to add.
    #[rpc(code = "UNAVAILABLE", message = "closed")]
    Closed,
    /// Nowhere.
    #[cfg(not(any(unix, windows)))]
    #[rpc(message = "not here")]
    Elsewhere(DoesNotExist),
    /// Everything else.
    #[rpc(status)]
    Other(Status),
}

/// With a `Display` of its own, and nothing but names.
#[derive(Debug, RpcError)]
#[allow(missing_docs)]
pub enum Plain {
    #[rpc(code = "ABORTED")]
    First,
    Second,
    #[rpc(status)]
    Rest(blixard_rpc::Status),
}

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plainly {self:?}")
    }
}

/// Nothing but what comes from elsewhere.
#[derive(Debug, RpcError)]
#[allow(missing_docs)]
pub enum Foreign {
    #[rpc(status)]
    Any(Status),
}

type Result<T, E = BankError> = std::result::Result<T, E>;

#[iroh_service]
trait Bank {
    async fn fail(&self, how: u32) -> Result<u64>;
    async fn follow(&self, how: u32) -> Result<Streaming<u64, BankError>>;
    async fn plain(&self, how: u32) -> Result<u64, Plain>;
    async fn foreign(&self) -> Result<u64, Foreign>;
}

struct Real;

impl Bank for Real {
    async fn fail(&self, how: u32) -> Result<u64> {
        Err(match how {
            0 => BankError::NoAccount { id: 7 },
            1 => BankError::Broke {
                missing: 5,
                currency: "EUR".into(),
                history: vec![1, 2],
            },
            2 => BankError::Limit(30),
            3 => BankError::Closed,
            _ => Status::data_loss("gone").with_source(fmt::Error).into(),
        })
    }
    async fn follow(&self, how: u32) -> Result<Streaming<u64, BankError>> {
        let (sender, stream) = Streaming::channel(1);
        let error = self.fail(how).await.unwrap_err();
        sender.fail(error).await?;
        Ok(stream)
    }
    async fn plain(&self, how: u32) -> Result<u64, Plain> {
        Err(if how == 0 {
            Plain::First
        } else {
            Plain::Second
        })
    }
    async fn foreign(&self) -> Result<u64, Foreign> {
        Err(Status::aborted("so").into())
    }
}

fn main() {
    let bank = BankClient::new(BankServer::new(Real));
    let fail = |how| blixard_rpc::block_on(bank.fail(how)).unwrap_err();

    let error = fail(0);
    assert!(matches!(error, BankError::NoAccount { id: 7 }), "{error:?}");
    assert_eq!(error.to_string(), "no account 7");
    let error = fail(1);
    assert_eq!(error.to_string(), "5 \"EUR\" are missing");
    let BankError::Broke {
        missing: 5,
        currency,
        history,
    } = error
    else {
        panic!("{error:?}");
    };
    assert_eq!((currency.as_str(), &history[..]), ("EUR", &[1, 2][..]));
    let error = fail(2);
    assert!(matches!(error, BankError::Limit(30)), "{error:?}");
    assert_eq!(error.to_string(), "limit 030 {0}");
    assert!(matches!(fail(3), BankError::Closed));
    let error = fail(4);
    let BankError::Other(status) = &error else {
        panic!("{error:?}");
    };
    assert_eq!((status.code(), status.message()), (Code::DataLoss, "gone"));
    assert_eq!(error.to_string(), "DATA_LOSS: gone");

    let mut stream = blixard_rpc::block_on(bank.follow(2)).unwrap();
    let item = blixard_rpc::block_on(stream.next()).unwrap();
    assert!(matches!(item, Err(BankError::Limit(30))), "{item:?}");

    let plain = blixard_rpc::block_on(bank.plain(0)).unwrap_err();
    assert!(matches!(plain, Plain::First), "{plain:?}");
    let plain = blixard_rpc::block_on(bank.plain(1)).unwrap_err();
    assert!(matches!(plain, Plain::Second), "{plain:?}");
    let Foreign::Any(status) = blixard_rpc::block_on(bank.foreign()).unwrap_err();
    assert_eq!(status.code(), Code::Aborted);

    // What crosses the network.
    let status = Status::from(BankError::Closed);
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "closed")
    );
    assert_eq!(
        status.details()[0].type_url,
        "type.googleapis.com/bank.v1.BankErrorDetail"
    );
    assert_eq!(Status::from(BankError::Limit(1)).code(), Code::Unknown);
    let status = Status::from(Plain::First);
    assert_eq!(
        (status.code(), status.message()),
        (Code::Aborted, "plainly First")
    );
    // Not a detail of ours, or not one that can be read.
    let mut details = status.details().to_vec();
    details[0].value = b"\xff".as_slice().to_vec().into();
    let broken = Status::aborted("x").with_detail(details.remove(0));
    assert!(matches!(Plain::from(broken), Plain::Rest(_)));
    // The source stays on this side, and is found there.
    let error = BankError::from(Status::internal("x").with_source(fmt::Error));
    assert!(error.source().unwrap().is::<fmt::Error>());
}
