//! The other process of `process.rs`, `dual.rs`, `image/` and `vm/`: a server that prints its ticket, a client whose call hangs, a node
//! that has images, or one that runs machines.
//!
//! A server that was told a number of calls waits for a line, and then holds calls in their handlers; it says so when it holds as many.

use std::{
    env,
    error::Error,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
};

use blixard_rpc::{
    Channel, Pool, Router, Status,
    transport::{
        grpc::{GrpcConnector, GrpcServer},
        iroh::{ALPN, IrohConnector, IrohPeer, IrohServer},
    },
};
use blixard_services::{
    image::{self, ImageConfig, ImageHost},
    vm::{Accelerator, HostConfig, Qemu, QemuConfig, VmHost},
};
use blixard_tests::{
    ledger::Book,
    net::{endpoint, endpoint_at, endpoint_of},
    talk::{Talk, TalkClient, TalkServer, Talker},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader, stdin},
    net::TcpListener,
};

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
        ["images", folder, key] => {
            let endpoint = endpoint_of(key.parse()?).await;
            let mut config = ImageConfig::new(folder).readers(|_| true);
            config.keep_free_bytes = 0;
            let host = ImageHost::open(config, endpoint.clone()).await?;
            let router = Router::new().add(host.server());
            let node = iroh::protocol::Router::builder(endpoint)
                .accept(ALPN, IrohServer::new(router.clone()))
                .accept(image::ALPN, host.protocol())
                .spawn();
            // For the test's own calls, which are to outlast that this process stands still for a while.
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let address = listener.local_addr()?;
            let _server = GrpcServer::new(router).spawn(listener);
            println!("{} {address}", IrohPeer::from(node.endpoint().addr()).ticket());
            std::future::pending().await
        }
        ["vms", folder] => {
            let mut config = QemuConfig::new(folder);
            config.accelerator = Accelerator::Tcg;
            // Another node is called by the name of a file beside the folder, with its address in it.
            let beside = Path::new(folder).parent().map(Path::to_owned);
            let pool = Pool::new(GrpcConnector::new());
            let nodes = HostConfig::default().nodes(move |name| {
                let file = beside.as_ref().map(|beside| beside.join(name));
                let address = file.and_then(|file| fs::read_to_string(file).ok());
                let address: Option<SocketAddr> = address.and_then(|it| it.trim().parse().ok());
                let address = address.ok_or_else(|| Status::not_found("there is no such node"))?;
                Ok(Channel::new(pool.channel(address.into())))
            });
            let host = VmHost::open_with(folder, Qemu::open(config)?, nodes).await?;
            let router = Router::new().add(host.server());
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let address = listener.local_addr()?;
            let _server = GrpcServer::new(router).spawn(listener);
            println!("{address}");
            std::future::pending().await
        }
        _ => Err(
            "usage: peer serve <PORT> <KEY> [<CALLS>] | peer hang <TICKET> | peer images <FOLDER> <KEY> | peer vms <FOLDER>"
                .into(),
        ),
    }
}
