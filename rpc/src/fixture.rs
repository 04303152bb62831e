//! A service written by hand against the contract of [`codegen`](crate::codegen), for the unit tests of the runtime. What a request
//! says is what the handler does.

use std::{
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::stream;

use crate::{
    Channel, Context, Dispatch, Message, Priority, Result, Router, Status, Streaming,
    call::{Codec, Response},
    client::Client,
    method::{Fingerprint, MethodDescriptor, ServiceDescriptor, Shape},
    proto::Schema,
    server::{Call, Server, Service},
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

/// What the handlers were asked and what became of them.
#[derive(Debug, Default)]
pub(crate) struct Echo {
    pub(crate) started: AtomicUsize,
    /// Handlers that were dropped before they were done.
    pub(crate) dropped: Arc<AtomicUsize>,
    pub(crate) contexts: Mutex<Vec<Context>>,
    pub(crate) notes: Mutex<Vec<String>>,
}

impl Echo {
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
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

pub(crate) struct EchoService;

pub(crate) type EchoServer = Server<EchoService, Echo>;

impl Service<Echo> for EchoService {
    fn descriptor() -> &'static ServiceDescriptor {
        echo()
    }

    async fn serve(target: &Echo, mut call: Call) -> Result<Response> {
        let cx = call.context();
        match call.index() {
            UNARY | SMALL | TIMED | IDEMPOTENT => {
                call.unary(move |ask| async move { target.unary(&cx, ask).await })
                    .await
            }
            COUNT => {
                call.server_streaming(move |ask| async move { target.count(&cx, ask).await })
                    .await
            }
            JOIN => {
                call.client_streaming(move |words| async move { target.join(&cx, words).await })
                    .await
            }
            CHAT => {
                call.bidirectional(move |words| async move { target.chat(&cx, words).await })
                    .await
            }
            NOTE => {
                call.oneway(move |event| async move { target.note(event).await })
                    .await
            }
            _ => call.unimplemented(),
        }
    }
}

pub(crate) const UNARY: usize = 0;
pub(crate) const COUNT: usize = 1;
pub(crate) const JOIN: usize = 2;
pub(crate) const CHAT: usize = 3;
pub(crate) const NOTE: usize = 4;
/// At most eight bytes a message.
pub(crate) const SMALL: usize = 5;
/// A deadline of one second.
pub(crate) const TIMED: usize = 6;
pub(crate) const IDEMPOTENT: usize = 7;
/// In the descriptor, and unknown to the service.
pub(crate) const FORGOTTEN: usize = 8;

pub(crate) fn method(index: usize) -> &'static MethodDescriptor {
    &echo().methods[index]
}

pub(crate) fn echo() -> &'static ServiceDescriptor {
    static ECHO: ServiceDescriptor = ServiceDescriptor {
        name: "test.v1.Echo",
        docs: "",
        methods: &METHODS,
        compute_fingerprint: |_| Fingerprint([1; 16]),
        fingerprint: OnceLock::new(),
    };
    const BASE: MethodDescriptor = MethodDescriptor {
        path: "/test.v1.Echo/Unary",
        index: UNARY,
        shape: Shape::Unary,
        idempotent: false,
        oneway: false,
        deadline: None,
        priority: Priority::Normal,
        max_message_bytes: None,
        docs: "",
        service: echo,
        request: Text::describe,
        response: Text::describe,
    };
    static METHODS: [MethodDescriptor; 9] = [
        BASE,
        MethodDescriptor {
            path: "/test.v1.Echo/Count",
            index: COUNT,
            shape: Shape::ServerStreaming,
            ..BASE
        },
        MethodDescriptor {
            path: "/test.v1.Echo/Join",
            index: JOIN,
            shape: Shape::ClientStreaming,
            ..BASE
        },
        MethodDescriptor {
            path: "/test.v1.Echo/Chat",
            index: CHAT,
            shape: Shape::Bidirectional,
            ..BASE
        },
        MethodDescriptor {
            path: "/test.v1.Echo/Note",
            index: NOTE,
            oneway: true,
            ..BASE
        },
        MethodDescriptor {
            path: "/test.v1.Echo/Small",
            index: SMALL,
            max_message_bytes: Some(8),
            ..BASE
        },
        MethodDescriptor {
            path: "/test.v1.Echo/Timed",
            index: TIMED,
            deadline: Some(Duration::from_secs(1)),
            ..BASE
        },
        MethodDescriptor {
            path: "/test.v1.Echo/Idempotent",
            index: IDEMPOTENT,
            idempotent: true,
            ..BASE
        },
        MethodDescriptor {
            path: "/test.v1.Echo/Forgotten",
            index: FORGOTTEN,
            ..BASE
        },
    ];
    &ECHO
}

/// A server, its handlers, and a client that calls it in memory.
pub(crate) fn in_memory() -> (Client<Channel>, Arc<Echo>) {
    in_memory_with(|router| router)
}

pub(crate) fn in_memory_with(
    change: impl FnOnce(Router) -> Router,
) -> (Client<Channel>, Arc<Echo>) {
    let echo = Arc::new(Echo::default());
    let router = change(Router::new().add(EchoServer::new(Arc::clone(&echo))));
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

    pub(crate) async fn chat(&self, words: Streaming<Text>) -> Result<Streaming<Text>> {
        self.bidirectional(method(CHAT), words).await
    }
}

pub(crate) fn words(words: &[&str]) -> Streaming<Text> {
    let words: Vec<Text> = words.iter().map(|&word| word.into()).collect();
    Streaming::from_iter(words)
}

/// Answers at once what it was asked, and does not ask for a context.
#[derive(Debug)]
pub(crate) struct Fast;

pub(crate) struct FastService;

pub(crate) type FastServer = Server<FastService, Fast>;

impl Service<Fast> for FastService {
    fn descriptor() -> &'static ServiceDescriptor {
        echo()
    }

    async fn serve(_: &Fast, call: Call) -> Result<Response> {
        call.unary(|ask: Text| async move { Ok::<_, Status>(ask) })
            .await
    }
}
