//! An error enum of one's own: each variant is a status on the wire, and the same variant again at the caller.
//!
//! `cargo run --example errors`

use std::{error::Error, sync::Mutex};

use blixard_examples::serve_and_connect;
use blixard_rpc::{CallOptions, Router, RpcError, Status, iroh_service};

/// Why an account could not be used.
#[derive(Clone, Debug, RpcError)]
#[rpc(package = "errors.v1")]
pub enum BankError {
    /// There is no such account.
    #[rpc(code = "NOT_FOUND", message = "there is no account {name}")]
    NoAccount {
        /// Whose it would be.
        name: String,
    },
    /// There is too little on it.
    #[rpc(code = "FAILED_PRECONDITION", message = "{missing} are missing")]
    TooLittle {
        /// How much more it would take.
        missing: u64,
    },
    /// What everything else becomes: what the network says, and variants that only newer servers have.
    #[rpc(status)]
    Other(Status),
}

/// Keeps Ada's money.
#[iroh_service(package = "errors.v1")]
pub trait Bank {
    /// Takes money off an account; answers what is left.
    async fn withdraw(&self, name: String, amount: u64) -> Result<u64, BankError>;
}

struct MyBank {
    ada: Mutex<u64>,
}

impl Bank for MyBank {
    async fn withdraw(&self, name: String, amount: u64) -> Result<u64, BankError> {
        if name != "Ada" {
            return Err(BankError::NoAccount { name });
        }
        let mut left = self.ada.lock().expect("no holder panics");
        *left = left.checked_sub(amount).ok_or(BankError::TooLittle {
            missing: amount.saturating_sub(*left),
        })?;
        Ok(*left)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let ada = Mutex::new(100);
    let router = Router::new().add(BankServer::new(MyBank { ada }));
    let (channel, server) = serve_and_connect(router).await?;
    let bank = BankClient::new(channel);

    for (name, amount) in [("Ada", 30), ("Ada", 1000), ("Bob", 1)] {
        println!("{name} withdraws {amount}:");
        match bank.withdraw(name.into(), amount).await {
            Ok(left) => println!("  {left} are left"),
            Err(BankError::TooLittle { missing }) => println!("  bring {missing} more, then again"),
            Err(error @ BankError::NoAccount { .. }) => println!("  {error}"),
            Err(BankError::Other(status)) => println!("  {status}"),
        }
    }

    println!("what a program in another language sees of an error:");
    let status = Status::from(BankError::TooLittle { missing: 5 });
    println!("  {} {:?}", status.code(), status.message());
    println!("  detail of type {}", status.details()[0].type_url);

    println!("a call to a server that has gone:");
    server.shutdown(std::time::Duration::ZERO).await;
    let hasty = bank.with(CallOptions::new().deadline(std::time::Duration::from_secs(5)));
    if let Err(BankError::Other(status)) = hasty.withdraw("Ada".into(), 1).await {
        println!("  {status}");
        println!("  safe to send again: {}", !status.was_accepted());
    }
    Ok(())
}
