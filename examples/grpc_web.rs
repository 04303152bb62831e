//! A page in a browser calls a service by gRPC-Web: one call with one answer, one with a stream of them. The page is `grpc_web.html`, of
//! plain JavaScript; what it shows is printed here too.
//!
//! `cargo run -p blixard-rpc --features grpc-web --example grpc_web` opens it in a headless Chromium; with `-- serve` it waits for a
//! browser of yours.

use std::{env, error::Error, process::Stdio, time::Duration};

use blixard_rpc::{
    Result, Router, Streaming, iroh_service,
    transport::grpc::{GrpcServer, Origins},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
    process::{Child, Command},
    sync::mpsc::{UnboundedSender, unbounded_channel},
    time::{sleep, timeout},
};

/// What the page calls.
#[iroh_service(package = "web.v1")]
pub trait Greeter {
    /// Greets one person.
    async fn greet(&self, name: String) -> Result<String>;
    /// Counts down, ten times a second.
    async fn countdown(&self, from: u32) -> Result<Streaming<u32>>;
    /// Hears what the page shows.
    async fn shown(&self, line: String) -> Result<()>;
}

struct MyGreeter(UnboundedSender<String>);

impl Greeter for MyGreeter {
    async fn greet(&self, name: String) -> Result<String> {
        Ok(format!("Hello, {name}!"))
    }

    async fn countdown(&self, from: u32) -> Result<Streaming<u32>> {
        let (sender, numbers) = Streaming::channel(1);
        tokio::spawn(async move {
            for number in (0..=from).rev() {
                if sender.send(number).await.is_err() {
                    break; // the page was left
                }
                sleep(Duration::from_millis(100)).await;
            }
        });
        Ok(numbers)
    }

    async fn shown(&self, line: String) -> Result<()> {
        let _ = self.0.send(line); // nobody listens when the example has ended
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let page = TcpListener::bind("127.0.0.1:0").await?;
    let origin = format!("http://{}", page.local_addr()?);
    tokio::spawn(serve_page(page));

    let (shown, mut lines) = unbounded_channel();
    let router = Router::new().add(GreeterServer::new(MyGreeter(shown)));
    let server = GrpcServer::new(router)
        .web(Origins::only([origin.clone()])) // pages of other origins may not call
        .bind("127.0.0.1:0")
        .await?;
    let address = server.local_addr().ok_or("it listens on an address")?;
    let url = format!("{origin}/#http://{address}");
    println!("open {url}");

    if env::args().nth(1).as_deref() == Some("serve") {
        while let Some(line) = lines.recv().await {
            println!("the page shows: {line}");
        }
    } else if let Some(_browser) = open(&url) {
        while let Some(line) = timeout(Duration::from_secs(60), lines.recv()).await? {
            println!("the page shows: {line}");
            if line == "that is all" {
                break;
            }
        }
    } else {
        println!("there is no Chromium here: run it with `-- serve`, and open the page yourself");
    }
    server.shutdown(Duration::from_secs(1)).await;
    Ok(())
}

/// Opens the page without a window, until the answer is dropped.
fn open(url: &str) -> Option<Child> {
    let profile = env::temp_dir().join("blixard-example-browser");
    Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ])
        .args([&format!("--user-data-dir={}", profile.display()), url])
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .ok()
}

/// The least that is a server of one page.
async fn serve_page(listener: TcpListener) -> Result<(), std::io::Error> {
    let page = include_str!("grpc_web.html");
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\nconnection: close\r\n\r\n";
    loop {
        let (mut browser, _) = listener.accept().await?;
        tokio::spawn(async move {
            // Whatever it asks for is the page.
            let mut asked = BufReader::new(&mut browser).lines();
            while asked
                .next_line()
                .await?
                .is_some_and(|line| !line.is_empty())
            {}
            browser
                .write_all(format!("{head}{page}").as_bytes())
                .await?;
            browser.shutdown().await
        });
    }
}
