//! The other process of `process.rs` and `dual.rs`: a server that prints its ticket, or a client whose call hangs.
//!
//! A server that was told a number of calls waits for a line, and then holds calls in their handlers; it says so when it holds as many.

use std::{env, error::Error, sync::Arc};

use blixard_rpc::{
    Channel,
    transport::iroh::{IrohConnector, IrohPeer, IrohServer},
};
use blixard_tests::{
    ledger::Book,
    net::{endpoint, endpoint_at},
    talk::{Talk, TalkClient, TalkServer, Talker},
};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", port, key, ref calls @ ..] => {
            let endpoint = endpoint_at(port.parse()?, key.parse()?).await;
            let book = Arc::new(Book::default());
            let router = book.router();
            let router = router.add(TalkServer::new(Talker::default()));
            let server = IrohServer::new(router).spawn(endpoint);
            println!("{}", server.peer().ticket());
            if let [calls] = calls {
                let calls = calls.parse()?;
                BufReader::new(stdin())
                    .read_line(&mut String::new())
                    .await?;
                book.hold(calls).await;
                println!("{calls}");
            }
            std::future::pending().await
        }
        ["hang", ticket] => {
            let peer: IrohPeer = ticket.parse()?;
            let connection = IrohConnector::new(endpoint().await).dial(peer).await?;
            let client = TalkClient::new(Channel::new(connection));
            Ok(client.hang().await?)
        }
        _ => Err("usage: peer serve <PORT> <KEY> [<CALLS>] | peer hang <TICKET>".into()),
    }
}
