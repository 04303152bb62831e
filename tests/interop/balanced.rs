//! Calls over a channel of tonic's that spreads them over several servers.

use std::collections::BTreeSet;

use blixard_rpc::{
    Channel, Result, Router, Streaming, iroh_service,
    transport::grpc::{Grpc, GrpcServer},
};
use blixard_tests::net::soon;
use tonic::transport::Endpoint;

#[iroh_service(package = "balanced.v1")]
trait Replica {
    async fn number(&self) -> Result<u64>;
    async fn numbers(&self) -> Result<Streaming<u64>>;
    async fn add(&self, numbers: Streaming<u64>) -> Result<u64>;
    async fn add_each(&self, numbers: Streaming<u64>) -> Result<Streaming<u64>>;
}

/// The replica with this number.
struct Numbered(u64);

impl Replica for Numbered {
    async fn number(&self) -> Result<u64> {
        Ok(self.0)
    }

    async fn numbers(&self) -> Result<Streaming<u64>> {
        Ok(Streaming::from_iter([self.0; 3]))
    }

    async fn add(&self, numbers: Streaming<u64>) -> Result<u64> {
        let numbers = numbers.collect().await?;
        Ok(self.0 + numbers.iter().sum::<u64>())
    }

    async fn add_each(&self, numbers: Streaming<u64>) -> Result<Streaming<u64>> {
        let numbers = numbers.collect().await?;
        let own = self.0;
        Ok(Streaming::from_iter(
            numbers.into_iter().map(move |number| own + number),
        ))
    }
}

const REPLICAS: u64 = 3;

#[tokio::test]
async fn calls_of_every_shape_reach_all_servers() {
    let (mut servers, mut endpoints) = (Vec::new(), Vec::new());
    for number in 0..REPLICAS {
        let router = Router::new().add(ReplicaServer::new(Numbered(number)));
        let server = GrpcServer::new(router).bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        endpoints.push(Endpoint::from_shared(format!("http://{address}")).unwrap());
        servers.push(server);
    }
    let balanced = tonic::transport::Channel::balance_list(endpoints.into_iter());
    let client = ReplicaClient::new(Channel::new(Grpc::new(balanced)));
    for shape in 0..4 {
        let call = async || -> Result<u64> {
            let zeros = || Streaming::from_iter([0, 0]);
            let answers = match shape {
                0 => vec![client.number().await?],
                1 => client.numbers().await?.collect().await?,
                2 => vec![client.add(zeros()).await?],
                _ => client.add_each(zeros()).await?.collect().await?,
            };
            assert!(!answers.is_empty());
            let first = answers[0];
            assert_eq!(answers, vec![first; answers.len()], "one call, one server");
            Ok(first)
        };
        // Which one a call goes to is tonic's affair.
        let mut answered = BTreeSet::new();
        soon(async {
            while answered.len() < REPLICAS as usize {
                answered.insert(call().await.unwrap());
            }
        })
        .await;
        assert_eq!(answered, (0..REPLICAS).collect(), "shape {shape}");
    }
}
