//! Of two streams of a class the newest wins: whatever comes on an older one, however late, never reaches the engine.

use blixard_raft_transport::Class;
use blixard_rpc::{
    Channel, Code, Context, Result, Status, Streaming, call::Sender, transport::iroh::IrohConnector,
};
use blixard_services::raft::{MessageBatch, MessageReceipt, Raft as _, RaftClient};
use blixard_tests::net::soon;

use super::nodes::{Cluster, NAME, Node, Over, numbered};

/// A stream of batches of one message each, that says what it likes.
struct Batches {
    sender: Sender<MessageBatch>,
    receipts: Streaming<MessageReceipt>,
    sent: u64,
}

impl Batches {
    /// Opens one that has sent its first message.
    async fn open(client: &RaftClient, first: u64) -> Self {
        let (sender, batches) = Streaming::channel(8);
        sender.send(batch(1, first)).await.unwrap();
        let opening = async {
            client
                .append_messages(&Context::background(), batches)
                .await
        };
        Self {
            sender,
            receipts: soon(opening).await.unwrap(),
            sent: 1,
        }
    }

    async fn send(&mut self, number: u64) {
        self.sent += 1;
        self.sender.send(batch(self.sent, number)).await.unwrap();
    }

    async fn receipt(&mut self) -> Result<u64, Status> {
        let receipt = soon(self.receipts.next()).await.unwrap();
        receipt.map(|receipt| receipt.sequence)
    }
}

fn batch(sequence: u64, number: u64) -> MessageBatch {
    MessageBatch {
        cluster: NAME.to_owned(),
        target: 2,
        sequence,
        messages: vec![numbered(number, 8)],
    }
}

/// Waits until so many messages of the log have come in, whether the engine has taken them or not.
async fn received(node: &Node, messages: u64) {
    soon(async {
        while node.transport.status()[0].classes[Class::LogAppend.index()].received_messages
            < messages
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_on_an_older_stream_is_refused() {
    let nodes = Cluster::default().start(Over::Iroh, 2).await;
    let connector = IrohConnector::new(nodes[0].endpoint.clone().unwrap());
    let dialled = soon(connector.dial(nodes[1].iroh_peer())).await.unwrap();
    let client = RaftClient::new(Channel::new(dialled));
    let engine = &nodes[1].engine;

    let mut first = Batches::open(&client, 0).await;
    assert_eq!(first.receipt().await.unwrap(), 1);
    let mut second = Batches::open(&client, 1).await;
    assert_eq!(second.receipt().await.unwrap(), 1);
    // Delayed on its way, as it may be when a connection is lost and made anew.
    first.send(100).await;
    assert_eq!(first.receipt().await.unwrap_err().code(), Code::Aborted);
    second.send(2).await;
    assert_eq!(second.receipt().await.unwrap(), 2);
    assert_eq!(engine.numbers(Class::LogAppend), [0, 1, 2]);

    // One that is heard while its stream is the newest, and whose turn comes when it is not any more.
    engine.log_stands_still.send_replace(true);
    second.send(3).await;
    received(&nodes[1], 4).await;
    let mut third = Batches::open(&client, 101).await;
    received(&nodes[1], 5).await;
    let mut fourth = Batches::open(&client, 4).await;
    received(&nodes[1], 6).await;
    engine.log_stands_still.send_replace(false);
    assert_eq!(second.receipt().await.unwrap(), 3);
    assert_eq!(third.receipt().await.unwrap_err().code(), Code::Aborted);
    assert_eq!(fourth.receipt().await.unwrap(), 1);
    assert_eq!(engine.numbers(Class::LogAppend), [0, 1, 2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_other_classes_and_members_are_none_the_older() {
    let nodes = Cluster::default().start(Over::Iroh, 3).await;
    for from in [0, 2] {
        let peer = nodes[from].transport.peer(2).unwrap();
        for class in [Class::LogAppend, Class::Election, Class::Heartbeat] {
            peer.send(class, numbered(from as u64, 8)).unwrap();
        }
    }
    soon(nodes[1].engine.until(|delivered| delivered.len() == 6)).await;
    for from in [0, 2] {
        let peer = nodes[from].transport.peer(2).unwrap();
        for class in [Class::LogAppend, Class::Election, Class::Heartbeat] {
            peer.send(class, numbered(10 + from as u64, 8)).unwrap();
        }
    }
    soon(nodes[1].engine.until(|delivered| delivered.len() == 12)).await;
    // On the streams that were there: none was cut, and nobody was told of a loss.
    assert!(
        nodes
            .iter()
            .all(|node| node.engine.events.borrow().is_empty())
    );
}
