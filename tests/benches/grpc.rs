//! Calls over our gRPC beside stock tonic, in one run, round by round in turn.
//!
//! `cargo bench -p blixard-tests --bench grpc`; `-- --quick` only shows that everything runs, `-- --json PATH` also writes the figures,
//! `--only PART` does only what has `PART` in "work: subject", `--rounds N` does so many rounds. Both ends live in one process and
//! talk over loopback, plain TCP, one connection each, on a runtime of two workers. Read the ratios: absolute figures are the
//! machine's.

#[path = "../../rpc/benches/calls/drive.rs"]
mod drive;
#[path = "../../rpc/benches/calls/measure.rs"]
mod measure;
#[allow(
    dead_code,
    reason = "what is written for programs is not asked for here"
)]
#[path = "../../rpc/benches/calls/report.rs"]
mod report;

use std::{net::SocketAddr, pin::Pin, time::Duration};

use blixard_rpc::{
    Channel, Router, Streaming, iroh_service, message,
    transport::grpc::{Grpc, GrpcConnector, GrpcServer},
};
use bytes::Bytes;
use drive::{Outcome, drive};
use measure::{Clock, Sample};
use report::{OURS, Report};
use tokio_stream::{Stream, StreamExt};
use tonic::{
    Request, Response, Status,
    transport::{Endpoint, Server, server::TcpIncoming},
};

const PAYLOAD_BYTES: usize = 64;
const LARGE_BYTES: usize = 1024 * 1024;
const ITEMS: usize = 200_000;

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

use pb::bench_client::BenchClient as StockClient;

#[message]
#[derive(Clone, Debug)]
struct Payload {
    data: Bytes,
}

#[message]
#[derive(Clone, Copy, Debug)]
struct Count {
    count: u64,
}

#[iroh_service(package = "bench.v1")]
trait Bench {
    async fn echo(&self, payload: Payload) -> blixard_rpc::Result<Payload>;
    async fn items(&self, count: Count) -> blixard_rpc::Result<Streaming<Payload>>;
    async fn upload(&self, payload: Payload) -> blixard_rpc::Result<Count>;
    async fn download(&self, count: Count) -> blixard_rpc::Result<Payload>;
}

/// Answers, for either side.
struct Answers {
    large: Bytes,
}

impl Answers {
    fn new() -> Self {
        Self {
            large: vec![7; LARGE_BYTES].into(),
        }
    }

    fn large(&self, count: u64) -> Bytes {
        let count = usize::try_from(count).unwrap_or(LARGE_BYTES);
        self.large.slice(..count.min(LARGE_BYTES))
    }
}

impl Bench for Answers {
    async fn echo(&self, payload: Payload) -> blixard_rpc::Result<Payload> {
        Ok(payload)
    }

    async fn items(&self, count: Count) -> blixard_rpc::Result<Streaming<Payload>> {
        let data = Bytes::from_static(&[7; PAYLOAD_BYTES]);
        Ok(Streaming::from_iter(
            (0..count.count).map(move |_| Payload { data: data.clone() }),
        ))
    }

    async fn upload(&self, payload: Payload) -> blixard_rpc::Result<Count> {
        let count = payload.data.len() as u64;
        Ok(Count { count })
    }

    async fn download(&self, count: Count) -> blixard_rpc::Result<Payload> {
        let data = self.large(count.count);
        Ok(Payload { data })
    }
}

#[tonic::async_trait]
impl pb::bench_server::Bench for Answers {
    type ItemsStream = Pin<Box<dyn Stream<Item = Result<pb::Payload, Status>> + Send>>;

    async fn echo(&self, request: Request<pb::Payload>) -> Result<Response<pb::Payload>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn items(
        &self,
        request: Request<pb::Count>,
    ) -> Result<Response<Self::ItemsStream>, Status> {
        let data = Bytes::from_static(&[7; PAYLOAD_BYTES]);
        let items =
            (0..request.into_inner().count).map(move |_| Ok(pb::Payload { data: data.clone() }));
        Ok(Response::new(Box::pin(tokio_stream::iter(items))))
    }

    async fn upload(&self, request: Request<pb::Payload>) -> Result<Response<pb::Count>, Status> {
        let count = request.into_inner().data.len() as u64;
        Ok(Response::new(pb::Count { count }))
    }

    async fn download(&self, request: Request<pb::Count>) -> Result<Response<pb::Payload>, Status> {
        let data = self.large(request.into_inner().count);
        Ok(Response::new(pb::Payload { data }))
    }
}

/// Who calls whom.
#[derive(Clone)]
enum Subject {
    Ours(BenchClient),
    Stock(StockClient<tonic::transport::Channel>),
}

impl Subject {
    async fn echo(&self, data: Bytes) -> Outcome<usize> {
        Ok(match self {
            Self::Ours(client) => client.echo(Payload { data }).await?.data.len(),
            Self::Stock(client) => {
                let answer = client.clone().echo(pb::Payload { data }).await?;
                answer.into_inner().data.len()
            }
        })
    }

    async fn upload(&self, data: Bytes) -> Outcome<u64> {
        Ok(match self {
            Self::Ours(client) => client.upload(Payload { data }).await?.count,
            Self::Stock(client) => {
                let answer = client.clone().upload(pb::Payload { data }).await?;
                answer.into_inner().count
            }
        })
    }

    async fn download(&self, count: u64) -> Outcome<usize> {
        Ok(match self {
            Self::Ours(client) => client.download(Count { count }).await?.data.len(),
            Self::Stock(client) => {
                let answer = client.clone().download(pb::Count { count }).await?;
                answer.into_inner().data.len()
            }
        })
    }

    async fn items(&self, count: u64) -> Outcome<usize> {
        let mut read = 0;
        match self {
            Self::Ours(client) => {
                let mut items = client.items(Count { count }).await?;
                while let Some(item) = items.next().await.transpose()? {
                    read += usize::from(item.data.len() == PAYLOAD_BYTES);
                }
            }
            Self::Stock(client) => {
                let items = client.clone().items(pb::Count { count }).await?;
                let mut items = items.into_inner();
                while let Some(item) = items.next().await.transpose()? {
                    read += usize::from(item.data.len() == PAYLOAD_BYTES);
                }
            }
        }
        Ok(read)
    }
}

fn tonics<S>(service: S) -> Outcome<SocketAddr>
where
    S: tower_service::Service<
            http::Request<tonic::body::Body>,
            Response: axum::response::IntoResponse,
            Error = std::convert::Infallible,
            Future: Send,
        > + tonic::server::NamedService
        + Clone
        + Send
        + Sync
        + 'static,
{
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse()?)?.with_nodelay(Some(true));
    let address = incoming.local_addr()?;
    let server = Server::builder()
        .max_concurrent_streams(1024)
        .add_service(service);
    tokio::spawn(server.serve_with_incoming(incoming));
    Ok(address)
}

async fn stock_channel(address: SocketAddr) -> Outcome<tonic::transport::Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    Ok(endpoint.connect().await?)
}

async fn subjects() -> Outcome<Vec<(&'static str, Subject)>> {
    let router = Router::new().add(BenchServer::new(Answers::new()));
    let server = GrpcServer::new(router).bind("127.0.0.1:0").await?;
    let ours = server.local_addr().ok_or("it has no address")?;
    std::mem::forget(server);
    let shim = tonics(BenchServer::new(Answers::new()))?;
    let stock = tonics(pb::bench_server::BenchServer::new(Answers::new()))?;
    let connector = GrpcConnector::new();
    let dialled = async |address: SocketAddr| -> Outcome<Subject> {
        let connection = connector.dial(&address.into()).await?;
        Ok(Subject::Ours(BenchClient::new(Channel::new(connection))))
    };
    let by_tonic = async |address: SocketAddr| -> Outcome<Subject> {
        let channel = Grpc::new(stock_channel(address).await?);
        Ok(Subject::Ours(BenchClient::new(Channel::new(channel))))
    };
    let stock_client = async |address: SocketAddr| -> Outcome<Subject> {
        Ok(Subject::Stock(StockClient::new(
            stock_channel(address).await?,
        )))
    };
    Ok(vec![
        (OURS, dialled(ours).await?),
        ("tonic", stock_client(stock).await?),
        ("ours in tonic's server, channel", by_tonic(shim).await?),
        ("our client, tonic's server", dialled(stock).await?),
        ("tonic's client, our server", stock_client(ours).await?),
    ])
}

/// What is to be measured, and how often.
struct Plan {
    rounds: usize,
    time: Duration,
    only: Option<String>,
    json: Option<String>,
}

impl Plan {
    fn from_args() -> Outcome<Self> {
        let mut plan = Self {
            rounds: 9,
            time: Duration::from_millis(600),
            only: None,
            json: None,
        };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            match &*arg {
                "--quick" => (plan.rounds, plan.time) = (1, Duration::from_millis(50)),
                "--only" => plan.only = Some(args.next().ok_or("--only needs part of a name")?),
                "--json" => plan.json = Some(args.next().ok_or("--json needs a path")?),
                "--rounds" => {
                    plan.rounds = args.next().ok_or("--rounds needs a number")?.parse()?;
                }
                // What cargo itself passes to a benchmark.
                "--bench" => {}
                unknown => {
                    return Err(format!(
                        "unknown argument {unknown}; there are --quick, --only PART, --rounds N and --json PATH"
                    )
                    .into());
                }
            }
        }
        Ok(plan)
    }

    fn wants(&self, work: &str, subject: &str) -> bool {
        let name = format!("{work}: {subject}");
        let only = self.only.as_ref();
        only.is_none_or(|only| name.contains(only.as_str()))
    }
}

/// What is done, again and again.
#[derive(Clone, Copy)]
enum Work {
    Echo(usize),
    Items,
    Upload,
    Download,
}

impl Work {
    const ALL: [Self; 6] = [
        Self::Echo(1),
        Self::Echo(64),
        Self::Echo(256),
        Self::Items,
        Self::Upload,
        Self::Download,
    ];

    fn name(self) -> (String, &'static str) {
        match self {
            Self::Echo(in_flight) => (format!("64-byte echo, {in_flight} in flight"), "calls"),
            Self::Items => ("stream of 64-byte items".to_owned(), "items"),
            Self::Upload => ("1 MiB upload, 8 in flight".to_owned(), "MiB"),
            Self::Download => ("1 MiB download, 8 in flight".to_owned(), "MiB"),
        }
    }

    async fn done_by(self, subject: Subject, time: Duration) -> Outcome<Sample> {
        match self {
            Self::Echo(in_flight) => {
                let payload = Bytes::from_static(&[7; PAYLOAD_BYTES]);
                let call = move || {
                    let (subject, payload) = (subject.clone(), payload.clone());
                    async move {
                        assert_eq!(subject.echo(payload).await?, PAYLOAD_BYTES);
                        Ok(())
                    }
                };
                drive(call, in_flight, time).await
            }
            Self::Items => {
                let clock = Clock::start();
                assert_eq!(subject.items(ITEMS as u64).await?, ITEMS);
                Ok(clock.stop(ITEMS as f64))
            }
            Self::Upload => {
                let upload = Bytes::from(vec![7; LARGE_BYTES]);
                let call = move || {
                    let (subject, upload) = (subject.clone(), upload.clone());
                    async move {
                        assert_eq!(subject.upload(upload).await?, LARGE_BYTES as u64);
                        Ok(())
                    }
                };
                drive(call, 8, time).await
            }
            Self::Download => {
                let call = move || {
                    let subject = subject.clone();
                    async move {
                        assert_eq!(subject.download(LARGE_BYTES as u64).await?, LARGE_BYTES);
                        Ok(())
                    }
                };
                drive(call, 8, time).await
            }
        }
    }
}

fn main() -> Outcome<()> {
    let plan = Plan::from_args()?;
    let mut report = Report::default();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(run(&plan, &mut report))?;
    print!("{}", report.table());
    if let Some(path) = plan.json {
        std::fs::write(path, report.json())?;
    }
    Ok(())
}

async fn run(plan: &Plan, report: &mut Report) -> Outcome<()> {
    let subjects = subjects().await?;
    // Round 0 warms up and is thrown away.
    for round in 0..=plan.rounds {
        eprint!("\rround {round} of {}", plan.rounds);
        for work in Work::ALL {
            let (name, unit) = work.name();
            for (subject, called) in &subjects {
                if !plan.wants(&name, subject) {
                    continue;
                }
                let sample = work.done_by(called.clone(), plan.time).await?;
                if round > 0 {
                    report.add(&name, unit, subject, sample);
                }
            }
        }
    }
    eprintln!();
    Ok(())
}
