//! All shapes of calls, one trait, implemented exactly as it is written.
#![deny(
    warnings,
    clippy::all,
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    unused_qualifications
)]

use std::sync::Mutex;

use blixard_rpc::{Context, Memory, Result, Router, Streaming, iroh_service, message};

/// A greeting.
#[message]
#[derive(Clone, Debug, Default, PartialEq)]
struct Greeting {
    /// What is said.
    text: String,
    /// When.
    #[tag(4)]
    at: u64,
}

/// Greets people.
#[iroh_service(package = "demo.v1")]
trait Greeter {
    /// Greets one person.
    async fn greet(&self, name: String, polite: bool) -> Result<Greeting>;
    async fn follow(&self, name: String) -> Result<Streaming<Greeting>>;
    async fn collect(&self, names: Streaming<String>) -> Result<u64>;
    async fn chat(&self, cx: &Context, lines: Streaming<String>) -> Result<Streaming<String>>;
    #[rpc(oneway)]
    async fn note(&self, event: Greeting);
}

#[derive(Default)]
struct MyGreeter {
    notes: Mutex<Vec<Greeting>>,
}

impl Greeter for MyGreeter {
    async fn greet(&self, name: String, polite: bool) -> Result<Greeting> {
        let hello = if polite { "Good day" } else { "Hi" };
        let text = format!("{hello}, {name}");
        Ok(Greeting { text, at: 7 })
    }

    async fn follow(&self, name: String) -> Result<Streaming<Greeting>> {
        Ok(Streaming::from_iter((0..3).map(move |at| Greeting {
            text: name.clone(),
            at,
        })))
    }

    async fn collect(&self, mut names: Streaming<String>) -> Result<u64> {
        let mut count = 0;
        while let Some(name) = names.next().await {
            count += name?.len() as u64;
        }
        Ok(count)
    }

    async fn chat(&self, cx: &Context, lines: Streaming<String>) -> Result<Streaming<String>> {
        let mut lines = lines.collect().await?;
        lines.push(cx.path().to_owned());
        Ok(Streaming::from_iter(lines))
    }

    async fn note(&self, event: Greeting) {
        self.notes.lock().unwrap().push(event);
    }
}

async fn all(greeter: &impl Greeter) {
    let greeting = greeter.greet("Ada".into(), true).await.unwrap();
    assert_eq!(greeting.text, "Good day, Ada");
    let follow = greeter.follow("Bob".into()).await.unwrap();
    let follow = follow.collect().await.unwrap();
    assert_eq!(follow.len(), 3);
    assert_eq!(follow[2].at, 2);
    let names = ["a", "bc"].map(String::from);
    assert_eq!(
        greeter.collect(Streaming::from_iter(names)).await.unwrap(),
        3
    );
}

fn main() {
    blixard_rpc::block_on(async {
        let channel = Memory::new(Router::new().add(GreeterServer::new(MyGreeter::default())));
        let client = GreeterClient::new(channel);
        all(&client).await;
        all(&MyGreeter::default()).await;

        let cx = Context::background();
        let chat = client
            .chat(&cx, Streaming::from_iter(["x".to_owned()]))
            .await;
        let chat = chat.unwrap().collect().await.unwrap();
        assert_eq!(chat, ["x", "/demo.v1.Greeter/Chat"]);

        let server = GreeterServer::new(MyGreeter::default());
        let event = Greeting::default();
        GreeterClient::new(server.clone()).note(event.clone()).await;
        assert_eq!(*server.target().notes.lock().unwrap(), [event]);
    });
}
