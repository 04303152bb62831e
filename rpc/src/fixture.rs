//! Services for the unit tests of the runtime: what a request says is what the handler does.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::stream;

use crate::{
    Channel, Context, Dispatch, Message, Result, Router, Status, Streaming,
    call::Codec,
    client::Client,
    iroh_service,
    method::{MethodDescriptor, ServiceDescriptor},
    proto::Schema,
};

/// A message whose first byte is its codec, so that none is taken for the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text(pub(crate) String);

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl Message for Text {
    fn encode(&self, codec: Codec, out: &mut BytesMut) -> Result<()> {
        out.put_u8(codec as u8);
        out.put_slice(self.0.as_bytes());
        Ok(())
    }

    fn decode(codec: Codec, mut bytes: Bytes) -> Result<Self> {
        if bytes.is_empty() || bytes.get_u8() != codec as u8 {
            return Err(Status::internal("not a text in this codec"));
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| Status::internal("not UTF-8"))?;
        Ok(text.into())
    }

    fn describe(_: &mut Schema) -> String {
        "Text".to_owned()
    }
}

#[iroh_service(package = "test.v1")]
pub(crate) trait Echo {
    async fn unary(&self, cx: &Context, ask: Text) -> Result<Text>;
    async fn count(&self, cx: &Context, ask: Text) -> Result<Streaming<Text>>;
    async fn join(&self, cx: &Context, words: Streaming<Text>) -> Result<Text>;
    async fn chat(&self, cx: &Context, words: Streaming<Text>) -> Result<Streaming<Text>>;
    #[rpc(oneway)]
    async fn note(&self, event: Text);
    #[rpc(max_message = "8")]
    async fn small(&self, ask: Text) -> Result<Text>;
    #[rpc(deadline = "1s")]
    async fn timed(&self, ask: Text) -> Result<Text>;
    #[rpc(idempotent)]
    async fn idempotent(&self, ask: Text) -> Result<Text>;
}

/// What the handlers were asked and what became of them.
#[derive(Debug, Default)]
pub(crate) struct Script {
    pub(crate) started: AtomicUsize,
    /// Handlers that were dropped before they were done.
    pub(crate) dropped: Arc<AtomicUsize>,
    pub(crate) contexts: Mutex<Vec<Context>>,
    pub(crate) notes: Mutex<Vec<String>>,
}

impl Script {
    pub(crate) fn started(&self) -> usize {
        self.started.load(Ordering::Relaxed)
    }

    pub(crate) fn dropped(&self) -> usize {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(crate) fn last_context(&self) -> Context {
        self.contexts.lock().unwrap().last().unwrap().clone()
    }

    fn enter(&self, cx: &Context) {
        self.started.fetch_add(1, Ordering::Relaxed);
        self.contexts.lock().unwrap().push(cx.clone());
    }

    async fn hang(&self) {
        let _counted = Counted(Arc::clone(&self.dropped));
        std::future::pending::<()>().await;
    }
}

impl Echo for Script {
    async fn unary(&self, cx: &Context, Text(ask): Text) -> Result<Text> {
        self.enter(cx);
        match ask.as_str() {
            "fail" => {
                cx.set_trailer("why", "asked").unwrap();
                return Err(Status::not_found("as asked"));
            }
            "panic" => panic!("secret"),
            "hang" => self.hang().await,
            "sleep" => tokio::time::sleep(Duration::from_millis(500)).await,
            "metadata" => {
                cx.set_header("head", "1").unwrap();
                cx.set_trailer("tail", "2").unwrap();
                let sent = cx.metadata().get("sent").unwrap_or("nothing");
                return Ok(sent.into());
            }
            "big" => return Ok(Text("x".repeat(64))),
            "huge" => return Ok(Text("x".repeat(crate::method::MAX_MESSAGE_BYTES))),
            _ => {}
        }
        Ok(Text(ask))
    }

    /// `3 fail`: three items, then fails.
    async fn count(&self, cx: &Context, Text(ask): Text) -> Result<Streaming<Text>> {
        self.enter(cx);
        let (count, then) = ask.split_once(' ').unwrap_or((&ask, "end"));
        let count: usize = count
            .parse()
            .map_err(|_| Status::invalid_argument("not a count"))?;
        cx.set_header("head", "1")?;
        cx.set_trailer("tail", "2")?;
        let (then, counted) = (then.to_owned(), Counted(Arc::clone(&self.dropped)));
        Ok(Streaming::new(stream::unfold(0, move |i| {
            let (then, _counted) = (then.clone(), &counted);
            async move {
                match then.as_str() {
                    _ if i < count => {}
                    "end" => return None,
                    "fail" => return Some((Err(Status::aborted("as asked")), i)),
                    "panic" => panic!("secret"),
                    "hang" => std::future::pending().await,
                    other => return Some((Ok(other.into()), i)),
                }
                Some((Ok(Text(i.to_string())), i + 1))
            }
        })))
    }

    async fn join(&self, cx: &Context, mut words: Streaming<Text>) -> Result<Text> {
        self.enter(cx);
        let mut all = Vec::new();
        while let Some(word) = words.next().await {
            all.push(word?.0);
        }
        Ok(Text(all.join(" ")))
    }

    async fn chat(&self, cx: &Context, words: Streaming<Text>) -> Result<Streaming<Text>> {
        self.enter(cx);
        Ok(words)
    }

    async fn note(&self, Text(event): Text) {
        self.notes.lock().unwrap().push(event);
    }

    async fn small(&self, ask: Text) -> Result<Text> {
        self.unary(&Context::background(), ask).await
    }

    async fn timed(&self, ask: Text) -> Result<Text> {
        self.unary(&Context::background(), ask).await
    }

    async fn idempotent(&self, ask: Text) -> Result<Text> {
        self.unary(&Context::background(), ask).await
    }
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

pub(crate) const UNARY: usize = 0;
pub(crate) const COUNT: usize = 1;
pub(crate) const JOIN: usize = 2;
pub(crate) const CHAT: usize = 3;
pub(crate) const NOTE: usize = 4;
pub(crate) const SMALL: usize = 5;
pub(crate) const TIMED: usize = 6;
pub(crate) const IDEMPOTENT: usize = 7;

pub(crate) fn echo() -> &'static ServiceDescriptor {
    EchoService::descriptor()
}

pub(crate) fn method(index: usize) -> &'static MethodDescriptor {
    &echo().methods[index]
}

/// A server, its handlers, and a client that calls it in memory.
pub(crate) fn in_memory() -> (Client<Channel>, Arc<Script>) {
    in_memory_with(|router| router)
}

pub(crate) fn in_memory_with(
    change: impl FnOnce(Router) -> Router,
) -> (Client<Channel>, Arc<Script>) {
    let echo = Arc::new(Script::default());
    let router = change(Router::new().add(EchoServer::from_arc(Arc::clone(&echo))));
    (Client::new(Channel::new(crate::Memory::new(router))), echo)
}

impl<C: Dispatch> Client<C> {
    pub(crate) async fn ask(&self, index: usize, ask: &str) -> Result<String> {
        let answer: Result<Text> = self.unary(method(index), Text::from(ask)).await;
        Ok(answer?.0)
    }

    pub(crate) async fn count(&self, ask: &str) -> Result<Streaming<Text>> {
        self.server_streaming(method(COUNT), Text::from(ask)).await
    }

    pub(crate) async fn join(&self, words: Streaming<Text>) -> Result<String> {
        let answer: Result<Text> = self.client_streaming(method(JOIN), words).await;
        Ok(answer?.0)
    }

    pub(crate) async fn chat(&self, words: Streaming<Text>) -> Result<Streaming<Text>>
    where
        C: Clone,
    {
        self.bidirectional(method(CHAT), words).await
    }
}

pub(crate) fn words(words: &[&str]) -> Streaming<Text> {
    let words: Vec<Text> = words.iter().map(|&word| word.into()).collect();
    Streaming::from_iter(words)
}

/// Asks for no context.
#[iroh_service(package = "test.v1")]
pub(crate) trait Quick {
    async fn quick(&self, ask: Text) -> Result<Text>;
}

/// Answers at once what it was asked.
#[derive(Debug)]
pub(crate) struct Same;

impl Quick for Same {
    async fn quick(&self, ask: Text) -> Result<Text> {
        Ok(ask)
    }
}
