//! A trait becomes a service on iroh: all shapes of calls in one process, or over two.
//!
//! `cargo run --example quickstart`, and in two processes with `-- serve` and `-- call <TICKET> <NAME>`

use std::{error::Error, time::Duration};

use blixard_rpc::{
    Channel, Result, Router, Streaming, iroh_service, message,
    transport::iroh::{IrohConnector, IrohPeer, IrohServer, SecretKey, bind, presets},
};

#[message]
#[derive(Clone, Debug, Default, PartialEq)]
struct Greeting {
    text: String,
    letters: u32,
}

/// Greets people.
#[iroh_service(package = "quickstart.v1")]
trait Greeter {
    /// One request, one answer.
    async fn greet(&self, name: String, polite: bool) -> Result<Greeting>;
    /// One request, many answers.
    async fn countdown(&self, from: u32) -> Result<Streaming<u32>>;
    /// Many requests, one answer.
    async fn total(&self, numbers: Streaming<u32>) -> Result<u32>;
    /// Many of both.
    async fn echo(&self, lines: Streaming<String>) -> Result<Streaming<String>>;
    /// No answer at all.
    #[rpc(oneway)]
    async fn note(&self, text: String);
}

struct MyGreeter;

impl Greeter for MyGreeter {
    async fn greet(&self, name: String, polite: bool) -> Result<Greeting> {
        let text = format!("{}, {name}!", if polite { "Good day" } else { "Hi" });
        let letters = name.chars().count() as u32;
        Ok(Greeting { text, letters })
    }
    async fn countdown(&self, from: u32) -> Result<Streaming<u32>> {
        Ok(Streaming::from_iter((0..=from).rev()))
    }
    async fn total(&self, numbers: Streaming<u32>) -> Result<u32> {
        Ok(numbers.collect().await?.into_iter().sum())
    }
    async fn echo(&self, lines: Streaming<String>) -> Result<Streaming<String>> {
        Ok(lines)
    }
    async fn note(&self, text: String) {
        println!("one-way:          the server notes {text:?}");
    }
}

async fn connect(ticket: &str) -> Result<GreeterClient, Box<dyn Error>> {
    let endpoint = bind(presets::Minimal, SecretKey::generate()).await?;
    let peer: IrohPeer = ticket.parse()?; // a key and its addresses
    let connection = IrohConnector::new(endpoint).dial(peer).await?;
    Ok(GreeterClient::new(Channel::new(connection)))
}

async fn every_shape(greeter: impl Greeter) -> Result<()> {
    greeter.note("no answer is needed".into()).await;
    let greeting = greeter.greet("Ada".into(), true).await?;
    println!("unary:            {greeting:?}");
    let numbers = greeter.countdown(5).await?.collect().await?;
    println!("server streaming: {numbers:?}");
    let total = greeter.total(Streaming::from_iter(1..=100)).await?;
    println!("client streaming: {total}");
    let lines = Streaming::from_iter(["over", "and", "out"].map(String::from));
    let lines = greeter.echo(lines).await?.collect().await?;
    println!("bidirectional:    {lines:?}");
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    if let ["call", ticket, name] = args[..] {
        let greeting = connect(ticket).await?.greet(name.into(), false).await?;
        println!("{}", greeting.text);
        return Ok(());
    }

    let router = Router::new().add(GreeterServer::new(MyGreeter));
    let endpoint = bind(presets::Minimal, SecretKey::generate()).await?;
    let server = IrohServer::new(router).spawn(endpoint);
    let ticket = server.peer().ticket();
    match args[..] {
        [] => every_shape(connect(&ticket).await?).await?,
        ["serve"] => {
            println!("{ticket}");
            eprintln!("serving until Ctrl-C; elsewhere: quickstart -- call <TICKET> <NAME>");
            tokio::signal::ctrl_c().await?;
        }
        _ => return Err("usage: quickstart [serve | call <TICKET> <NAME>]".into()),
    }
    // Calls in flight may go on for so long.
    server.shutdown(Duration::from_secs(5)).await;
    Ok(())
}
