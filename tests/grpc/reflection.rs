//! What a server tells of itself: to stock clients of both versions, complete enough to be called by who knows nothing else; and to those
//! who ask too much of it.

use std::{
    collections::BTreeMap,
    env, fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use blixard_rpc::{
    Result, Router, Status, iroh_service, message,
    middleware::{Authorize, Caller},
    reflection::{MAX_ANSWER_BYTES, MAX_QUESTION_BYTES},
    transport::grpc::{GrpcHandle, GrpcServer},
};
use blixard_tests::net::soon;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::Request;
use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use tokio_stream::StreamExt;
use tonic::transport::{Channel, Endpoint};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, ServerReflectionResponse,
    server_reflection_request::MessageRequest as Ask,
    server_reflection_response::MessageResponse as Answer,
};

use crate::{
    raw::{Raw, Reply, framed},
    target::{Handlers, TargetServer},
};

const VERSIONS: [&str; 2] = ["v1", "v1alpha"];

fn router() -> Router {
    Router::new().add(TargetServer::new(Handlers::default()))
}

async fn serve() -> GrpcHandle {
    let server = GrpcServer::new(router()).reflection().unwrap();
    server.bind("127.0.0.1:0").await.unwrap()
}

async fn channel() -> (Channel, GrpcHandle) {
    let server = serve().await;
    let address = format!("http://{}", server.local_addr().unwrap());
    let endpoint = Endpoint::from_shared(address).unwrap();
    (endpoint.connect().await.unwrap(), server)
}

/// One test, in both versions, whose messages have the same names.
macro_rules! both {
    ($($version:ident)*) => {$(
        #[tokio::test]
        async fn $version() {
            use tonic_reflection::pb::$version::{
                ServerReflectionRequest,
                server_reflection_client::ServerReflectionClient,
                server_reflection_request::MessageRequest,
                server_reflection_response::MessageResponse,
            };
            let (channel, _server) = channel().await;
            let ask = async |question: MessageRequest| {
                let request = ServerReflectionRequest {
                    host: "a host".to_owned(),
                    message_request: Some(question),
                };
                let mut client = ServerReflectionClient::new(channel.clone());
                let requests = tokio_stream::iter([request.clone()]);
                let answers = client.server_reflection_info(requests).await.unwrap();
                let answer = answers.into_inner().next().await.unwrap().unwrap();
                assert_eq!(answer.valid_host, "a host");
                assert_eq!(answer.original_request, Some(request));
                answer.message_response.unwrap()
            };
            soon(async {
                let MessageResponse::ListServicesResponse(services) =
                    ask(MessageRequest::ListServices(String::new())).await
                else {
                    panic!("a list was asked for");
                };
                let names: Vec<_> = services.service.into_iter().map(|it| it.name).collect();
                assert_eq!(
                    names,
                    [
                        "grpc.reflection.v1.ServerReflection",
                        "grpc.reflection.v1alpha.ServerReflection",
                        "raw.v1.Target",
                    ]
                );

                // From a symbol to all that it is made of.
                let mut files = BTreeMap::new();
                let mut open = vec![MessageRequest::FileContainingSymbol("raw.v1.Target".to_owned())];
                while let Some(question) = open.pop() {
                    let MessageResponse::FileDescriptorResponse(found) = ask(question).await else {
                        panic!("a file was asked for");
                    };
                    for bytes in found.file_descriptor_proto {
                        let file = FileDescriptorProto::decode(&bytes[..]).unwrap();
                        for name in &file.dependency {
                            if !files.contains_key(name) {
                                open.push(MessageRequest::FileByFilename(name.clone()));
                            }
                        }
                        files.insert(file.name().to_owned(), file);
                    }
                }
                check_complete(files.into_values().collect());
            })
            .await;
        }
    )*};
}

both!(v1 v1alpha);

/// That a compiler finds everything there, and the service as it is.
fn check_complete(files: Vec<FileDescriptorProto>) {
    let service = files
        .iter()
        .flat_map(|file| &file.service)
        .find(|service| service.name() == "Target")
        .unwrap();
    let methods: Vec<_> = service.method.iter().map(|method| method.name()).collect();
    assert!(
        methods.contains(&"Echo") && methods.contains(&"Pour"),
        "{methods:?}"
    );
    let known: Vec<_> = files.iter().map(FileDescriptorProto::name).collect();
    for name in files.iter().flat_map(|file| &file.dependency) {
        assert!(known.contains(&&**name), "{name} is missing");
    }
}

/// What we say of reflection itself is what is checked in, and what gRPC says of it. `UPDATE=1` writes it anew.
#[test]
fn its_own_schema_is_that_of_grpc() {
    let package = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../rpc"));
    let theirs = [
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    for (version, theirs) in VERSIONS.into_iter().zip(theirs) {
        let name = format!("grpc/reflection/{version}/reflection.proto");
        let mut ours = protox::compile([name], [package.join("proto")]).unwrap();
        ours.file[0].source_code_info = None;
        let checked_in = package.join(format!("src/reflection/{version}.bin"));
        if env::var_os("UPDATE").is_some() {
            fs::write(&checked_in, ours.encode_to_vec()).unwrap();
        }
        assert!(
            fs::read(checked_in).unwrap_or_default() == ours.encode_to_vec(),
            "{version}.bin is not what a compiler makes of reflection.proto: run with UPDATE=1"
        );
        let FileDescriptorSet { file } = FileDescriptorSet::decode(theirs).unwrap();
        let [mut theirs] = file.try_into().unwrap();
        // How their file is called, and where other languages put what they generate.
        theirs.name = ours.file[0].name.clone();
        (theirs.source_code_info, theirs.options) = (None, None);
        assert_eq!(ours.file, [theirs]);
    }
}

/// Sends these questions as one stream.
async fn ask_raw(raw: &Raw, version: &str, questions: &[&[u8]]) -> Reply {
    let path =
        format!("http://localhost/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
    let call = Request::post(path)
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let framed: BytesMut = questions
        .iter()
        .flat_map(|message| framed(message))
        .collect();
    raw.send(call.body(()).unwrap(), &[&framed]).await
}

fn question(ask: Ask) -> Vec<u8> {
    let question = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(ask),
    };
    question.encode_to_vec()
}

fn answers(reply: &Reply) -> Vec<ServerReflectionResponse> {
    let mut body: Bytes = reply.body.clone().freeze();
    let mut answers = Vec::new();
    while !body.is_empty() {
        let message = body.split_off(5);
        let length = u32::from_be_bytes(body[1..].try_into().unwrap());
        body = message;
        let rest = body.split_off(length as usize);
        answers.push(ServerReflectionResponse::decode(body).unwrap());
        body = rest;
    }
    answers
}

/// `NOT_FOUND` and the like, each within the stream.
fn errors(reply: &Reply) -> Vec<Result<(), i32>> {
    reply.check(0, "");
    let code = |answer: ServerReflectionResponse| match answer.message_response.unwrap() {
        Answer::ErrorResponse(error) => {
            assert!(error.error_message.len() < 300, "{error:?}");
            Err(error.error_code)
        }
        _ => Ok(()),
    };
    answers(reply).into_iter().map(code).collect()
}

#[tokio::test]
async fn what_is_not_known_is_said_within_the_stream() {
    use tonic_reflection::pb::v1::ExtensionRequest;

    let server = serve().await;
    let raw = Raw::connect(&server).await;
    let name = || "raw.v1.Nobody".to_owned();
    let extension = |containing_type| ExtensionRequest {
        containing_type,
        extension_number: 7,
    };
    for version in VERSIONS {
        let known = question(Ask::FileContainingSymbol("raw.v1.Target.Echo".to_owned()));
        let reply = ask_raw(
            &raw,
            version,
            &[
                &question(Ask::FileContainingSymbol(name())),
                &question(Ask::FileByFilename(name())),
                &question(Ask::FileContainingExtension(extension(name()))),
                &question(Ask::AllExtensionNumbersOfType(name())),
                &question(Ask::AllExtensionNumbersOfType("raw.v1.Target".to_owned())),
                // Nothing is asked.
                b"",
                &known,
                &question(Ask::AllExtensionNumbersOfType("raw.v1.Tree".to_owned())),
            ],
        )
        .await;
        let (not_found, invalid) = (Err(5), Err(3));
        assert_eq!(
            errors(&reply),
            [
                not_found,
                not_found,
                not_found,
                not_found,
                not_found,
                invalid,
                Ok(()),
                Ok(())
            ]
        );
    }
}

#[tokio::test]
async fn huge_names_are_not_said_back() {
    let server = serve().await;
    let raw = Raw::connect(&server).await;
    let long = |bytes| question(Ask::FileContainingSymbol("ü".repeat(bytes / 2)));
    let host = ServerReflectionRequest {
        host: "h".repeat(MAX_QUESTION_BYTES),
        message_request: Some(Ask::ListServices(String::new())),
    };
    for version in VERSIONS {
        let reply = ask_raw(
            &raw,
            version,
            &[
                &long(MAX_QUESTION_BYTES),
                &long(1 << 20),
                &long(5 << 20),
                &host.encode_to_vec(),
                &long(MAX_QUESTION_BYTES - 100),
            ],
        )
        .await;
        let exhausted = Err(8);
        assert_eq!(
            errors(&reply),
            [exhausted, exhausted, exhausted, exhausted, Err(5)]
        );
        assert!(reply.body.len() < 2 * MAX_QUESTION_BYTES);
        // As for every method: what is no message, or larger than one may be, ends the call.
        let broken = ask_raw(&raw, version, &[b"\xff\xff"]).await;
        broken.check(13, "");
        let huge = ask_raw(&raw, version, &[&long(11 << 20)]).await;
        huge.check(8, "");
    }
    raw.still_works().await;
}

#[tokio::test]
async fn imports_are_sent_along_once_a_stream() {
    let router = Router::new().add(TimedServer::new(Never));
    let server = GrpcServer::new(router).reflection().unwrap();
    let server = server.bind("127.0.0.1:0").await.unwrap();
    let raw = Raw::connect(&server).await;
    let ask = question(Ask::FileContainingSymbol("timed.v1.Times.wait".to_owned()));
    let reply = ask_raw(&raw, "v1", &[&ask, &ask]).await;
    let files = |answer: ServerReflectionResponse| match answer.message_response.unwrap() {
        Answer::FileDescriptorResponse(files) => files
            .file_descriptor_proto
            .iter()
            .map(|file| {
                let file = FileDescriptorProto::decode(&file[..]).unwrap();
                file.name().to_owned()
            })
            .collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let sent: Vec<_> = answers(&reply).into_iter().map(files).collect();
    let own = "timed/v1/timed.proto";
    assert_eq!(sent, [&[own, "google/protobuf/duration.proto"][..], &[own]]);
}

/// What imports something.
#[message]
struct Times {
    wait: Option<Duration>,
}

#[iroh_service(package = "timed.v1")]
trait Timed {
    async fn wait(&self, times: Times) -> Result<()>;
}

struct Never;

impl Timed for Never {
    async fn wait(&self, _: Times) -> Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn floods_of_questions_stop_nobody() {
    let server = serve().await;
    let (raw, honest) = (Raw::connect(&server).await, Raw::connect(&server).await);
    let unknown = question(Ask::FileContainingSymbol("x".repeat(1000)));
    let known = question(Ask::FileContainingSymbol("raw.v1.Target".to_owned()));
    let questions: Vec<&[u8]> = (0..4000)
        .map(|at| if at % 2 == 0 { &unknown[..] } else { &known })
        .collect();
    let flood = async {
        let reply = ask_raw(&raw, "v1", &questions).await;
        let answers = errors(&reply);
        assert_eq!(answers.len(), questions.len());
        assert_eq!(answers[..2], [Err(5), Ok(())]);
    };
    let beside = async {
        for _ in 0..50 {
            honest.still_works().await;
        }
    };
    tokio::join!(flood, beside);

    // Who asks and never reads is not read on: what it may send, and no more, is what the window and the answers take.
    let mut send = raw.0.clone().ready().await.unwrap();
    let call =
        Request::post("http://localhost/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
            .header("content-type", "application/grpc");
    let (_response, mut stream) = send.send_request(call.body(()).unwrap(), false).unwrap();
    let mut chunk = BytesMut::new();
    for _ in 0..64 {
        chunk.put(framed(&unknown));
    }
    let chunk = chunk.freeze();
    stream.reserve_capacity(usize::MAX >> 33);
    let mut taken = 0;
    loop {
        let more = std::future::poll_fn(|cx| stream.poll_capacity(cx));
        // Nothing tells that a window stays closed; that others go on meanwhile does.
        tokio::select! {
            biased;
            more = more => { more.unwrap().unwrap(); }
            () = honest_rounds(&honest) => break,
        }
        let length = stream.capacity().min(chunk.len());
        stream.send_data(chunk.slice(..length), false).unwrap();
        taken += length;
        assert!(taken < 16 << 20, "it is read on for ever");
    }
    raw.still_works().await;
}

async fn honest_rounds(honest: &Raw) {
    for _ in 0..100 {
        honest.still_works().await;
    }
}

/// Who may not call learns nothing, and who may is seen by layers as for any call.
#[tokio::test]
async fn layers_decide_who_may_ask() {
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    let nobody = Authorize::new(move |caller: &Caller<'_>| {
        counted.fetch_add(1, Ordering::Relaxed);
        if caller.path().contains("reflection") {
            return Err(Status::permission_denied("not for you"));
        }
        Ok(())
    });
    let server = GrpcServer::new(router().layer(nobody))
        .reflection()
        .unwrap();
    let server = server.bind("127.0.0.1:0").await.unwrap();
    let raw = Raw::connect(&server).await;
    for version in VERSIONS {
        let reply = ask_raw(
            &raw,
            version,
            &[&question(Ask::ListServices(String::new()))],
        )
        .await;
        reply.check(7, "not for you");
    }
    assert_eq!(seen.load(Ordering::Relaxed), 2);
    raw.still_works().await;
}

/// A gate of a runner is such a layer.
#[tokio::test]
async fn gates_decide_where_it_is_asked() {
    use blixard_rpc::runner::{Carry, Migration, MigrationStrategy, Mode, Prefer, ServiceRunner};

    let router = router().reflection().unwrap();
    let both = MigrationStrategy::new(Carry::Both(Prefer::Iroh));
    let migration = Migration::new(both.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let running = ServiceRunner::new(router, Mode::Dual)
        .migration(migration)
        .iroh(
            blixard_tests::net::endpoint().await,
            blixard_rpc::transport::iroh::IrohServer::new,
        )
        .grpc(listener, GrpcServer::new)
        .start()
        .unwrap();
    let raw = Raw::connect_to(running.grpc_addr().unwrap()).await;
    let list = question(Ask::ListServices(String::new()));
    ask_raw(&raw, "v1", &[&list]).await.check(0, "");
    let moved = both.service("grpc.reflection.v1.ServerReflection", Carry::Iroh);
    running.apply(moved).unwrap();
    ask_raw(&raw, "v1", &[&list])
        .await
        .check(14, "call it over iroh");
    ask_raw(&raw, "v1alpha", &[&list]).await.check(0, "");
}

#[tokio::test]
#[should_panic(expected = "named \"grpc.reflection.v1.ServerReflection\" already")]
async fn it_is_served_once() {
    let _ = GrpcServer::new(router().reflection().unwrap()).reflection();
}

const _: () = assert!(MAX_ANSWER_BYTES < 4 << 20, "stock clients read 4 MiB");
