//! A running service moves from gRPC to iroh under load, and not one call is lost: first both carry it, then iroh alone. Only the server
//! is told; clients follow.
//!
//! `cargo run -p blixard-examples --features grpc --example migration`

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use blixard_rpc::{
    Pool, Result, Router, iroh_service,
    runner::{Carry, DualChannel, Migration, MigrationStrategy, Mode, Prefer, ServiceRunner},
    transport::{
        grpc::{GrpcConnector, GrpcServer},
        iroh::{IrohConnector, IrohServer, SecretKey, bind, presets},
    },
};
use tokio::{net::TcpListener, time::sleep};

/// Greets.
#[iroh_service(package = "migration.v1")]
pub trait Greeter {
    /// Greets one person. Not idempotent: a call that may have been begun is not sent again.
    async fn greet(&self, name: String) -> Result<String>;
}

struct MyGreeter;

impl Greeter for MyGreeter {
    async fn greet(&self, name: String) -> Result<String> {
        Ok(format!("Hello, {name}!"))
    }
}

/// How many callers call without a pause.
const CALLERS: usize = 8;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // The server: one handler, both transports, and gRPC alone carries the service to begin with.
    let router = Router::new().add(GreeterServer::new(MyGreeter));
    let endpoint = bind(presets::Minimal, SecretKey::generate()).await?;
    let server = ServiceRunner::new(router, Mode::Dual)
        .migration(Migration::new(MigrationStrategy::new(Carry::Grpc)))
        .iroh(endpoint, IrohServer::new)
        .grpc(TcpListener::bind("127.0.0.1:0").await?, GrpcServer::new)
        .start()?;
    let (peer, address) = (server.iroh_peer(), server.grpc_addr());
    let (peer, address) = peer.zip(address).ok_or("it is served on both")?;

    // The client: one channel over both, which prefers iroh where it may choose.
    let iroh = IrohConnector::new(bind(presets::Minimal, SecretKey::generate()).await?);
    let channel = DualChannel::new(
        Pool::new(iroh).channel(peer),
        Pool::new(GrpcConnector::new()).channel(address.into()),
    );
    let errors = Arc::new(AtomicU64::new(0));
    for caller in 0..CALLERS {
        let client = GreeterClient::new(channel.clone());
        let errors = Arc::clone(&errors);
        tokio::spawn(async move {
            loop {
                if let Err(status) = client.greet(format!("caller {caller}")).await {
                    eprintln!("{status}");
                    errors.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }

    let steps = [
        ("gRPC carries the service", Carry::Grpc),
        (
            "both carry it; those who prefer iroh soon find out",
            Carry::Both(Prefer::Iroh),
        ),
        ("iroh alone carries it", Carry::Iroh),
        ("and back to gRPC, for good measure", Carry::Grpc),
    ];
    let mut before = channel.stats();
    for (says, carry) in steps {
        println!("{says}:");
        server.apply(MigrationStrategy::new(carry))?;
        for _ in 0..3 {
            sleep(Duration::from_secs(1)).await;
            let now = channel.stats();
            println!(
                "{:>9} calls over gRPC {:>9} over iroh {:>5} errors",
                now.grpc.calls - before.grpc.calls,
                now.iroh.calls - before.iroh.calls,
                errors.load(Ordering::Relaxed)
            );
            before = now;
        }
    }
    println!(
        "{} calls in all; {} were told to go the other way, and {} failed",
        before.iroh.calls + before.grpc.calls,
        before.iroh.moved + before.grpc.moved,
        errors.load(Ordering::Relaxed)
    );
    Ok(())
}
