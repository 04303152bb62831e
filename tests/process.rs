//! Two processes, two keys, real QUIC: the other side is `peer.rs`. What one process sees of the other in good days, and when the
//! other is killed.

#![allow(clippy::unwrap_used, reason = "tests say where they fail")]

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use blixard_rpc::{
    Channel, Code, Context, Pool, Streaming,
    transport::iroh::{IrohConnector, IrohPeer, IrohServer, SecretKey},
};
use blixard_tests::{
    net::{endpoint, soon},
    talk::{Talk, TalkClient, Talker},
};
use bytes::Bytes;
use tokio::time::Instant;

/// By default a killed peer is noticed within this.
const NOTICED: Duration = Duration::from_secs(5);

/// The other process; it does not outlive the test.
struct Other(Child);

impl Other {
    fn run(arguments: &[&str]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_peer"))
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// Serves on this port of loopback, of the system's choice if it is 0, by this key.
    fn server(port: u16, key: &SecretKey) -> (Self, IrohPeer) {
        let key = key.to_bytes().map(|byte| format!("{byte:02x}")).concat();
        let mut other = Self::run(&["serve", &port.to_string(), &key]);
        let mut ticket = String::new();
        let mut output = BufReader::new(other.0.stdout.take().unwrap());
        output.read_line(&mut ticket).unwrap();
        (other, ticket.parse().unwrap())
    }

    fn kill(&mut self) {
        // On Unix this is SIGKILL: nothing in the process runs any more, and nothing is closed.
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // It may have ended by itself, or have been killed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn every_shape_between_two_processes() {
    let (other, peer) = Other::server(0, &SecretKey::generate());
    let endpoint = endpoint().await;
    let me = endpoint.id();
    assert_ne!(peer.id(), me);
    let pool = Pool::new(IrohConnector::new(endpoint));
    let client = TalkClient::new(Channel::new(pool.channel(peer)));
    let who = soon(client.who(&Context::background())).await.unwrap();
    assert_eq!(who, format!("{me} {}", other.0.id()));
    for size in [0, 1, 70_000, 3_000_000] {
        let data = Bytes::from(vec![7; size]);
        assert_eq!(soon(client.echo(data.clone())).await.unwrap(), data);
    }
    let numbers = soon(client.numbers(1000)).await.unwrap();
    let numbers = soon(numbers.collect()).await.unwrap();
    assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
    let sum = soon(client.sum(Streaming::from_iter(numbers))).await;
    assert_eq!(sum.unwrap(), 499_500);
    let (sender, lines) = Streaming::channel(1);
    let mut back = soon(client.chat(lines)).await.unwrap();
    for line in ["over", "and", "out"] {
        sender.send(line.to_owned()).await.unwrap();
        assert_eq!(soon(back.next()).await.unwrap().unwrap(), line);
    }
    drop(sender);
    assert!(soon(back.next()).await.is_none());
    client.note("noted".into()).await;
    soon(async { while client.noted().await.unwrap() != "noted" {} }).await;
    assert_eq!(pool.connections(), 1);
}

#[tokio::test]
async fn a_killed_server_is_noticed_and_found_again() {
    let key = SecretKey::generate();
    let (mut other, peer) = Other::server(0, &key);
    let port = peer.address().ip_addrs().next().unwrap().port();
    let pool = Pool::new(IrohConnector::new(endpoint().await));
    let client = TalkClient::new(Channel::new(pool.channel(peer.clone())));
    let (_sender, lines) = Streaming::channel(1);
    let mut stream = soon(client.chat(lines)).await.unwrap();
    let kill = async {
        // What was called before is on its way when this is answered.
        soon(client.echo(Bytes::new())).await.unwrap();
        other.kill();
        Instant::now()
    };
    let (call, item, killed) = tokio::join!(
        async { (client.hang().await.unwrap_err(), Instant::now()) },
        async { (stream.next().await.unwrap().unwrap_err(), Instant::now()) },
        kill,
    );
    for (status, noticed) in [call, item] {
        let took = noticed - killed;
        println!("a killed server was noticed after {took:?}: {status}");
        assert!(took < NOTICED, "{took:?}");
        assert_eq!(status.code(), Code::Unavailable, "{status}");
    }

    // Calls fail, and not by waiting for long, until it runs again.
    let status = soon(client.echo(Bytes::new())).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(!status.was_accepted(), "{status}");
    let (_other, again) = Other::server(port, &key);
    assert_eq!(again, peer);
    let found = async {
        while client.echo(Bytes::new()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), found)
        .await
        .expect("the server is found again");
}

#[tokio::test]
async fn the_calls_of_a_killed_client_end() {
    let talker = Talker::default();
    let hanging = Arc::clone(&talker.hanging);
    let server = IrohServer::new(talker.router()).spawn(endpoint().await);
    let mut other = Other::run(&["hang", &server.peer().ticket()]);
    soon(hanging.began.notified()).await;
    assert_eq!(server.server().connections(), 1);
    other.kill();
    let killed = Instant::now();
    soon(hanging.ended.notified()).await;
    let took = killed.elapsed();
    println!("a killed client was noticed after {took:?}");
    assert!(took < NOTICED, "{took:?}");
    soon(async {
        while server.server().connections() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}
