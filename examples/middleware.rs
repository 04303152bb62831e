//! What a call passes on its way: authorization, limits, retries, metrics, and a layer of one's own. Each wraps calls of all shapes.
//!
//! `cargo run --example middleware`

use std::{
    error::Error,
    sync::atomic::{AtomicU32, Ordering},
    time::Instant,
};

use blixard_examples::serve_and_connect;
use blixard_rpc::{
    CallOptions, Channel, Dispatch, Layer, Result, Router, Status,
    call::{Request, Response},
    codec::Codec,
    iroh_service,
    method::{MethodDescriptor, ServiceDescriptor},
    middleware::{Authorize, Caller, Limit, Measure, Retry},
    observe::Metrics,
};

/// Keeps secrets.
#[iroh_service(package = "middleware.v1")]
pub trait Vault {
    /// Opens the vault. It may be asked again: that changes nothing.
    #[rpc(idempotent)]
    async fn open(&self) -> Result<String>;
}

#[derive(Default)]
struct MyVault {
    tries: AtomicU32,
}

impl Vault for MyVault {
    async fn open(&self) -> Result<String> {
        match self.tries.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => Err(Status::unavailable("the lock is frozen, try again")),
            tries => Ok(format!("open at try {}", tries + 1)),
        }
    }
}

/// A layer of one's own: says what was called and how long the answer took.
#[derive(Clone, Copy)]
struct Say(&'static str);

impl Layer for Say {
    type Dispatch<D: Dispatch> = Saying<D>;

    fn layer<D: Dispatch>(&self, inner: D) -> Saying<D> {
        Saying {
            side: self.0,
            inner,
        }
    }
}

struct Saying<D> {
    side: &'static str,
    inner: D,
}

impl<D: Dispatch> Dispatch for Saying<D> {
    async fn dispatch(&self, request: Request) -> Result<Response> {
        let (method, begin) = (request.method.clone(), Instant::now());
        let result = self.inner.dispatch(request).await;
        let outcome = result
            .as_ref()
            .map_or_else(Status::to_string, |_| "OK".into());
        println!(
            "  {} {} {outcome} ({:.0?})",
            self.side,
            method.path(),
            begin.elapsed()
        );
        result
    }

    // Questions that are not calls go through to who is behind.
    fn codec(&self, service: &'static ServiceDescriptor) -> Codec {
        self.inner.codec(service)
    }

    fn resolve(&self, path: &str) -> Option<&'static MethodDescriptor> {
        self.inner.resolve(path)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // A peer has proved its key, `caller.peer()`, before anybody is asked; a token in the metadata is one more way.
    let with_token = Authorize::new(|caller: &Caller<'_>| match caller.metadata().get("token") {
        Some("sesame") => Ok(()),
        _ => Err(Status::permission_denied(format!(
            "{} needs the token",
            caller.path()
        ))),
    });
    let metrics = Metrics::new();
    let router = Router::new()
        .add(VaultServer::new(MyVault::default()))
        .layer(with_token)
        .layer(Limit::new("vault", 100))
        .layer(Measure::server(&metrics));
    let (channel, _server) = serve_and_connect(router).await?;

    println!("without the token:");
    let vault = VaultClient::new(Channel::new(Say("call").layer(channel.clone())));
    println!("  {}", vault.open().await.expect_err("there is no token"));

    println!("with it, and again where the server is unavailable:");
    let patient = Retry::new().layer(Say("try ").layer(channel));
    let vault = VaultClient::new(Channel::new(patient))
        .with(CallOptions::new().metadata("token", "sesame"));
    println!("  {}", vault.open().await?);

    println!("what the server counted:");
    let text = metrics.render();
    for line in text.lines().filter(|line| line.contains("_total{")) {
        println!("  {line}");
    }
    Ok(())
}
