//! One handler over iroh and over gRPC at once: called by our client on both, and by stock gRPC from the `.proto` that the trait prints.
//!
//! `cargo run --example grpc_bridge --features grpc`

use std::error::Error;

use blixard_rpc::{
    Channel, Context, Result, Router, Streaming, iroh_service, message,
    transport::{
        grpc::{GrpcConnector, GrpcServer},
        iroh::{IrohConnector, IrohServer, SecretKey, bind, presets},
    },
};
use tonic::{codegen::http::uri::PathAndQuery, transport::Endpoint};
use tonic_prost::ProstCodec;

/// What the weather is like.
#[message]
#[derive(Clone, Debug)]
pub struct Report {
    /// In a few words.
    pub text: String,
    /// In degrees Celsius.
    pub degrees: f64,
}

/// Tells the weather.
#[iroh_service(package = "bridge.v1")]
pub trait Weather {
    /// Now, at a place.
    async fn now(&self, cx: &Context, place: String) -> Result<Report>;
    /// The days to come.
    async fn forecast(&self, place: String, days: u32) -> Result<Streaming<Report>>;
}

struct Station;

impl Weather for Station {
    async fn now(&self, cx: &Context, place: String) -> Result<Report> {
        // By its key over iroh, by its certificate or address over gRPC.
        println!("  the handler is asked about {place} by {}", cx.peer());
        Ok(Report {
            text: format!("sunny in {place}"),
            degrees: 21.5,
        })
    }

    async fn forecast(&self, place: String, days: u32) -> Result<Streaming<Report>> {
        Ok(Streaming::from_iter((1..=days).map(move |day| Report {
            text: format!("day {day} in {place}: sunny"),
            degrees: 21.0 + f64::from(day),
        })))
    }
}

/// What any other language has generated from the `.proto`; here prost, by hand.
mod generated {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct WeatherForecastRequest {
        #[prost(string, tag = "1")]
        pub(crate) place: String,
        #[prost(uint32, tag = "2")]
        pub(crate) days: u32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Report {
        #[prost(string, tag = "1")]
        pub(crate) text: String,
        #[prost(double, tag = "2")]
        pub(crate) degrees: f64,
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("{}", WeatherService::descriptor().proto()?);

    // One router, behind two doors.
    let router = Router::new().add(WeatherServer::new(Station));
    let iroh =
        IrohServer::new(router.clone()).spawn(bind(presets::Minimal, SecretKey::generate()).await?);
    let grpc = GrpcServer::new(router).bind("127.0.0.1:0").await?;
    let address = grpc.local_addr().ok_or("it listens on no address")?;

    // Our client does not care what carries its calls.
    let endpoint = bind(presets::Minimal, SecretKey::generate()).await?;
    let over_iroh = IrohConnector::new(endpoint).dial(iroh.peer()).await?;
    let over_grpc = GrpcConnector::new().dial(&address.into()).await?;
    for (name, channel) in [
        ("iroh", Channel::new(over_iroh)),
        ("gRPC", Channel::new(over_grpc)),
    ] {
        let client = WeatherClient::new(channel);
        let now = client.now(&Context::background(), "Berlin".into()).await?;
        let days = client.forecast("Berlin".into(), 3).await?.collect().await?;
        println!("over {name}: {}, {} days to come", now.text, days.len());
    }

    // Stock gRPC: tonic's own channel and codec, and nothing of ours.
    let channel = Endpoint::from_shared(format!("http://{address}"))?
        .connect()
        .await?;
    let mut stock = tonic::client::Grpc::new(channel);
    stock.ready().await?;
    let request = tonic::Request::new(generated::WeatherForecastRequest {
        place: "Berlin".into(),
        days: 2,
    });
    let path = PathAndQuery::from_static("/bridge.v1.Weather/Forecast");
    let codec = ProstCodec::<_, generated::Report>::default();
    let mut reports = stock
        .server_streaming(request, path, codec)
        .await?
        .into_inner();
    while let Some(report) = reports.message().await? {
        println!("stock gRPC: {}, {} °C", report.text, report.degrees);
    }
    Ok(())
}
