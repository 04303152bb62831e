//! The other process of `process.rs` and `dual.rs`: a server that prints its ticket, or a client whose call hangs.

use std::{
    env,
    error::Error,
    sync::{Arc, atomic::Ordering},
};

use blixard_rpc::{
    Channel,
    transport::iroh::{IrohConnector, IrohPeer, IrohServer},
};
use blixard_tests::{
    ledger::Book,
    net::{endpoint, endpoint_at},
    talk::{Talk, TalkClient, TalkServer, Talker},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", port, key, ref pause_ms @ ..] => {
            let endpoint = endpoint_at(port.parse()?, key.parse()?).await;
            let book = Arc::new(Book::default());
            if let [pause_ms] = pause_ms {
                book.pause_ms.store(pause_ms.parse()?, Ordering::Relaxed);
            }
            let router = book.router();
            let router = router.add(TalkServer::new(Talker::default()));
            let server = IrohServer::new(router).spawn(endpoint);
            println!("{}", server.peer().ticket());
            std::future::pending().await
        }
        ["hang", ticket] => {
            let peer: IrohPeer = ticket.parse()?;
            let connection = IrohConnector::new(endpoint().await).dial(peer).await?;
            let client = TalkClient::new(Channel::new(connection));
            Ok(client.hang().await?)
        }
        _ => Err("usage: peer serve <PORT> <KEY> [<PAUSE_MS>] | peer hang <TICKET>".into()),
    }
}
