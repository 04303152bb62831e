//! Stock tonic over TCP, plain and with TLS, from its generated code.

use std::{
    pin::Pin,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Response, Status, Streaming,
    transport::{
        Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Server, ServerTlsConfig,
        server::TcpIncoming,
    },
};

use self::pb::{Count, Payload, bench_client::BenchClient, bench_server::BenchServer};
use crate::{
    Outcome,
    data::{self, HUGE_BYTES, SMALL_BYTES},
    net::Net,
    stack::{Client, Stack},
    tls::{NAME, Secrets},
};

#[allow(
    clippy::all,
    clippy::use_self,
    unnameable_types,
    unreachable_pub,
    unused_qualifications,
    reason = "it is generated"
)]
mod pb {
    tonic::include_proto!("bench.v1");
}

pub(crate) struct Tonic<const TLS: bool>(Endpoint);

impl<const TLS: bool> Stack for Tonic<TLS> {
    type Client = TonicClient;

    async fn start(net: Net) -> Outcome<Self> {
        let secrets = Secrets::new()?;
        let incoming = TcpIncoming::bind(net.bind())?.with_nodelay(Some(true));
        let peer = net.seen(incoming.local_addr()?);
        // 200 unless it is told otherwise: less than the calls in flight.
        let mut server = Server::builder().max_concurrent_streams(MAX_CALLS);
        let mut endpoint = Endpoint::from_shared(format!("http://{peer}"))?;
        if TLS {
            let identity = Identity::from_pem(&secrets.certificate, &secrets.key);
            server = server.tls_config(ServerTlsConfig::new().identity(identity))?;
            let authority = Certificate::from_pem(&secrets.certificate);
            let tls = ClientTlsConfig::new()
                .ca_certificate(authority)
                .domain_name(NAME);
            endpoint = Endpoint::from_shared(format!("https://{peer}"))?.tls_config(tls)?;
        }
        let service = BenchServer::new(Answers).max_decoding_message_size(MAX_BYTES);
        let server = server.add_service(service);
        tokio::spawn(server.serve_with_incoming(incoming));
        Ok(Self(endpoint))
    }

    async fn connect(&self) -> Outcome<Self::Client> {
        let client = BenchClient::new(self.0.connect().await?);
        Ok(TonicClient(client.max_decoding_message_size(MAX_BYTES)))
    }
}

struct Answers;

type Items = Pin<Box<dyn Stream<Item = Result<Payload, Status>> + Send>>;

#[tonic::async_trait]
impl pb::bench_server::Bench for Answers {
    type ItemsStream = Items;
    type PingPongStream = Items;

    async fn echo(&self, request: Request<Payload>) -> Result<Response<Payload>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn upload(&self, request: Request<Payload>) -> Result<Response<Count>, Status> {
        let count = request.into_inner().data.len() as u64;
        Ok(Response::new(Count { count }))
    }

    async fn download(&self, request: Request<Count>) -> Result<Response<Payload>, Status> {
        let data = data::asked(request.into_inner().count);
        Ok(Response::new(Payload { data }))
    }

    async fn items(&self, request: Request<Count>) -> Result<Response<Items>, Status> {
        let items = items(request.into_inner().count).map(Ok);
        Ok(Response::new(Box::pin(items)))
    }

    async fn collect(
        &self,
        request: Request<Streaming<Payload>>,
    ) -> Result<Response<Count>, Status> {
        let (mut items, mut count) = (request.into_inner(), 0);
        while let Some(item) = items.message().await? {
            count += u64::from(item.data.len() == SMALL_BYTES);
        }
        Ok(Response::new(Count { count }))
    }

    async fn ping_pong(
        &self,
        request: Request<Streaming<Payload>>,
    ) -> Result<Response<Items>, Status> {
        Ok(Response::new(Box::pin(request.into_inner())))
    }
}

/// The generated client: its calls take `&mut self`, and it is cloned for each, as its documentation says.
#[derive(Clone)]
pub(crate) struct TonicClient(BenchClient<Channel>);

impl Client for TonicClient {
    async fn echo(&self, data: Bytes) -> Outcome<Bytes> {
        Ok(self
            .0
            .clone()
            .echo(Payload { data })
            .await?
            .into_inner()
            .data)
    }

    async fn upload(&self, data: Bytes) -> Outcome<u64> {
        let answer = self.0.clone().upload(Payload { data }).await?;
        Ok(answer.into_inner().count)
    }

    async fn download(&self, count: u64) -> Outcome<Bytes> {
        let answer = self.0.clone().download(Count { count }).await?;
        Ok(answer.into_inner().data)
    }

    async fn items(&self, count: u64) -> Outcome<u64> {
        let mut items = self.0.clone().items(Count { count }).await?.into_inner();
        let mut count = 0;
        while let Some(item) = items.message().await? {
            count += u64::from(item.data.len() == SMALL_BYTES);
        }
        Ok(count)
    }

    async fn collect(&self, count: u64) -> Outcome<u64> {
        let answer = self.0.clone().collect(items(count)).await?;
        Ok(answer.into_inner().count)
    }

    async fn ping_pong(&self, time: Duration) -> Outcome<Vec<Duration>> {
        let (send, recv) = mpsc::channel(1);
        let answers = self.0.clone().ping_pong(ReceiverStream::new(recv)).await?;
        let (mut answers, begin, mut times) = (answers.into_inner(), Instant::now(), Vec::new());
        while begin.elapsed() < time {
            let sent = Instant::now();
            send.send(Payload { data: data::item() }).await?;
            answers.message().await?.ok_or("the stream has ended")?;
            times.push(sent.elapsed());
        }
        Ok(times)
    }
}

fn items(count: u64) -> impl Stream<Item = Payload> + Send + 'static {
    let data = data::item();
    stream::iter((0..count).map(move |_| Payload { data: data.clone() }))
}

/// Calls in flight on a connection.
const MAX_CALLS: u32 = 2048;
/// The largest message: 4 MiB unless it is told otherwise.
const MAX_BYTES: usize = HUGE_BYTES + 1024;
