//! `grpc.health.v1.Health` in memory and over iroh, and its bytes beside prost's.

#![allow(clippy::unwrap_used, reason = "tests say where they fail")]

use std::collections::HashMap;

use blixard_rpc::{
    Channel, Code, Memory, Message, Router, Streaming, codec::Codec, method::file_descriptor_set,
    transport::iroh::ServerHandle,
};
use blixard_services::health::{
    Health, HealthCheckRequest, HealthCheckResponse, HealthClient, HealthListRequest,
    HealthListResponse, HealthService, MAX_LISTED, Reporter,
    ServingStatus::{self, NotServing, ServiceUnknown, Serving},
};
use blixard_tests::net::{dial, serve, soon};
use bytes::{Bytes, BytesMut};
use protox::{
    Compiler,
    file::{File, FileResolver},
    prost_reflect::DescriptorPool,
};

/// A reporter, and clients that ask for what it says: in memory in both codecs, over iroh before and after the hello.
struct Setup {
    reporter: Reporter,
    clients: Vec<(&'static str, HealthClient)>,
    _server: ServerHandle,
}

async fn setup() -> Setup {
    let reporter = Reporter::new();
    let router = Router::new().add(reporter.server());
    let server = serve(router.clone()).await;
    let connection = dial(&server).await;
    connection.hello().await.unwrap();
    let memory = Memory::new(router);
    let client = |channel| HealthClient::new(channel);
    let clients = vec![
        ("memory, postcard", client(Channel::new(memory.clone()))),
        (
            "memory, protobuf",
            client(Channel::new(memory.with_codec(Codec::Protobuf))),
        ),
        ("iroh, protobuf", client(Channel::new(dial(&server).await))),
        ("iroh, postcard", client(Channel::new(connection))),
    ];
    Setup {
        reporter,
        clients,
        _server: server,
    }
}

impl Setup {
    async fn check(&self, service: &str, expected: Result<ServingStatus, Code>) {
        for (over, client) in &self.clients {
            let response = soon(client.check(HealthCheckRequest::of(service))).await;
            let status = response
                .map(|response| response.status)
                .map_err(|status| status.code());
            assert_eq!(status, expected, "{service:?} over {over}");
        }
    }

    async fn watch(&self, service: &str) -> Watches {
        let mut streams = Vec::new();
        for (over, client) in &self.clients {
            let stream = soon(client.watch(HealthCheckRequest::of(service))).await;
            streams.push((*over, stream.unwrap()));
        }
        Watches(streams)
    }
}

struct Watches(Vec<(&'static str, Streaming<HealthCheckResponse>)>);

impl Watches {
    async fn say(&mut self, expected: impl Into<Option<ServingStatus>>) {
        let expected = expected.into();
        for (over, stream) in &mut self.0 {
            let next = soon(stream.next()).await;
            let status = next.map(|response| response.unwrap().status);
            assert_eq!(status, expected, "over {over}");
        }
    }
}

#[tokio::test]
async fn check_answers_what_was_reported() {
    let setup = setup().await;
    setup.check("", Ok(Serving)).await;
    setup.check("a", Err(Code::NotFound)).await;
    setup.reporter.set_serving("a");
    setup.check("a", Ok(Serving)).await;
    setup.reporter.clone().set_not_serving("a");
    setup.check("a", Ok(NotServing)).await;
    setup.reporter.clear("a");
    setup.check("a", Err(Code::NotFound)).await;
    setup.reporter.set_not_serving("");
    setup.check("", Ok(NotServing)).await;
}

#[tokio::test]
async fn watch_says_the_status_at_once_and_then_its_changes() {
    let setup = setup().await;
    let mut known = setup.watch("").await;
    let mut unknown = setup.watch("a").await;
    known.say(Serving).await;
    unknown.say(ServiceUnknown).await;
    setup.reporter.set_serving("a");
    unknown.say(Serving).await;
    // What does not change is not said again.
    setup.reporter.set_serving("a");
    setup.reporter.set_serving("b");
    setup.reporter.set_not_serving("a");
    unknown.say(NotServing).await;
    setup.reporter.clear("a");
    unknown.say(ServiceUnknown).await;
    setup.reporter.set_not_serving("");
    known.say(NotServing).await;
}

#[tokio::test]
async fn a_watch_that_is_not_read_keeps_the_newest_status_alone() {
    let setup = setup().await;
    let mut watches = setup.watch("a").await;
    watches.say(ServiceUnknown).await;
    for _ in 0..10_000 {
        setup.reporter.set_serving("a");
        setup.reporter.set_not_serving("a");
    }
    setup.reporter.clear("a");
    setup.reporter.set_serving("a");
    // No task ran meanwhile: of 20 002 changes the last one is said, and no other.
    watches.say(Serving).await;
    setup.reporter.set_not_serving("a");
    watches.say(NotServing).await;
}

#[tokio::test]
async fn a_shutdown_says_that_nothing_serves_and_ends_the_watches() {
    let setup = setup().await;
    setup.reporter.set_serving("a");
    let mut all = setup.watch("").await;
    let mut one = setup.watch("a").await;
    let mut unknown = setup.watch("b").await;
    all.say(Serving).await;
    one.say(Serving).await;
    unknown.say(ServiceUnknown).await;
    setup.reporter.shutdown();
    setup.reporter.set_serving("a");
    setup.reporter.clear("a");
    for watches in [&mut all, &mut one] {
        watches.say(NotServing).await;
        watches.say(None).await;
    }
    unknown.say(None).await;
    setup.check("", Ok(NotServing)).await;
    setup.check("a", Ok(NotServing)).await;
    setup.check("b", Err(Code::NotFound)).await;
    let mut late = setup.watch("a").await;
    late.say(NotServing).await;
    late.say(None).await;
}

#[tokio::test]
async fn the_last_handle_that_is_dropped_is_a_shutdown() {
    let Setup {
        reporter,
        clients,
        _server,
    } = setup().await;
    let (_, client) = &clients[0];
    let mut stream = client.watch(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().status, Serving);
    drop(reporter.clone());
    let check = || async {
        client
            .check(HealthCheckRequest::default())
            .await
            .unwrap()
            .status
    };
    assert_eq!(check().await, Serving);
    drop(reporter);
    assert_eq!(stream.next().await.unwrap().unwrap().status, NotServing);
    assert!(stream.next().await.is_none());
    assert_eq!(check().await, NotServing);
}

#[tokio::test]
async fn list_answers_all_up_to_a_hundred() {
    let setup = setup().await;
    for n in 1..MAX_LISTED {
        setup.reporter.set_not_serving(format!("service{n}"));
    }
    for (over, client) in &setup.clients {
        let statuses = client.list(HealthListRequest {}).await.unwrap().statuses;
        assert_eq!(statuses.len(), MAX_LISTED, "over {over}");
        assert_eq!(statuses[""].status, Serving);
        assert_eq!(statuses["service7"].status, NotServing);
    }
    setup.reporter.set_serving("one too many");
    for (over, client) in &setup.clients {
        let refused = client.list(HealthListRequest {}).await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted, "over {over}");
    }
}

#[tokio::test]
async fn a_name_longer_than_any_name_is_refused() {
    let setup = setup().await;
    for (over, client) in &setup.clients {
        let request = HealthCheckRequest::of("x".repeat(5000));
        let refused = client.watch(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted, "over {over}");
    }
}

/// The messages as prost generates them from `health.proto`.
mod standard {
    use super::HashMap;

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct HealthCheckRequest {
        #[prost(string, tag = "1")]
        pub(super) service: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct HealthCheckResponse {
        #[prost(enumeration = "ServingStatus", tag = "1")]
        pub(super) status: i32,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
    #[repr(i32)]
    pub(super) enum ServingStatus {
        Unknown = 0,
        Serving = 1,
        NotServing = 2,
        ServiceUnknown = 3,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct HealthListRequest {}

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct HealthListResponse {
        #[prost(map = "string, message", tag = "1")]
        pub(super) statuses: HashMap<String, HealthCheckResponse>,
    }

    /// The service as somebody else declares it, with prost's own messages.
    #[blixard_rpc::iroh_service(package = "grpc.health.v1")]
    pub(super) trait Health {
        async fn check(
            &self,
            request: HealthCheckRequest,
        ) -> blixard_rpc::Result<HealthCheckResponse>;
        async fn list(&self, request: HealthListRequest)
        -> blixard_rpc::Result<HealthListResponse>;
        async fn watch(
            &self,
            request: HealthCheckRequest,
        ) -> blixard_rpc::Result<blixard_rpc::Streaming<HealthCheckResponse>>;
    }
}

#[track_caller]
fn same_bytes<T, P>(ours: &T, theirs: &P)
where
    T: Message + PartialEq + std::fmt::Debug,
    P: prost::Message,
{
    let bytes = Bytes::from(prost::Message::encode_to_vec(theirs));
    let mut encoded = BytesMut::new();
    ours.encode(Codec::Protobuf, &mut encoded).unwrap();
    assert_eq!(encoded, bytes);
    assert_eq!(&T::decode(Codec::Protobuf, bytes).unwrap(), ours);
}

#[test]
fn the_bytes_are_those_of_the_standard() {
    for service in ["", "demo.v1.Greeter"] {
        same_bytes(
            &HealthCheckRequest::of(service),
            &standard::HealthCheckRequest {
                service: service.into(),
            },
        );
    }
    for (ours, theirs) in [
        (ServingStatus::Unknown, standard::ServingStatus::Unknown),
        (Serving, standard::ServingStatus::Serving),
        (NotServing, standard::ServingStatus::NotServing),
        (ServiceUnknown, standard::ServingStatus::ServiceUnknown),
    ] {
        let ours = HealthCheckResponse { status: ours };
        let theirs = standard::HealthCheckResponse {
            status: theirs.into(),
        };
        same_bytes(&ours, &theirs);
        let key = "demo.v1.Greeter".to_owned();
        same_bytes(
            &HealthListResponse {
                statuses: HashMap::from([(key.clone(), ours)]),
            },
            &standard::HealthListResponse {
                statuses: HashMap::from([(key, theirs)]),
            },
        );
    }
    same_bytes(&HealthListRequest {}, &standard::HealthListRequest {});
    let newer = HealthCheckResponse {
        status: ServingStatus::Other(4),
    };
    same_bytes(&newer, &standard::HealthCheckResponse { status: 4 });
}

/// `health.proto` as gRPC has it, without what is said of its fields to people and to other languages.
const STANDARD: &str = r#"
syntax = "proto3";
package grpc.health.v1;

message HealthCheckRequest {
  string service = 1;
}

message HealthCheckResponse {
  enum ServingStatus {
    UNKNOWN = 0;
    SERVING = 1;
    NOT_SERVING = 2;
    SERVICE_UNKNOWN = 3;
  }
  ServingStatus status = 1;
}

message HealthListRequest {}

message HealthListResponse {
  map<string, HealthCheckResponse> statuses = 1;
}

service Health {
  rpc Check(HealthCheckRequest) returns (HealthCheckResponse);
  rpc List(HealthListRequest) returns (HealthListResponse);
  rpc Watch(HealthCheckRequest) returns (stream HealthCheckResponse);
}
"#;

#[test]
fn the_names_are_those_of_the_standard() {
    let service = HealthService::descriptor();
    let standard = all_of(compiled(STANDARD));
    assert_eq!(all_of(compiled(&service.proto().unwrap())), standard);
    let described = file_descriptor_set(&[service]).unwrap();
    let pool = DescriptorPool::decode(prost::Message::encode_to_vec(&described).as_slice());
    assert_eq!(all_of(pool.unwrap()), standard);
    assert!(standard.contains("grpc.health.v1.HealthCheckResponse.SERVICE_UNKNOWN = 3"));
}

/// What a file declares, by full names.
fn all_of(pool: DescriptorPool) -> String {
    let mut lines = Vec::new();
    for message in pool.all_messages() {
        lines.push(format!("message {}", message.full_name()));
        for field in message.fields() {
            let (name, number) = (field.full_name(), field.number());
            let (kind, many) = (field.kind(), field.cardinality());
            lines.push(format!("{many:?} {kind:?} {name} = {number}"));
        }
    }
    for described in pool.all_enums() {
        lines.push(format!("enum {}", described.full_name()));
        for value in described.values() {
            lines.push(format!("{} = {}", value.full_name(), value.number()));
        }
    }
    for method in pool
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
    {
        lines.push(format!(
            "{} {} {} {} {}",
            method.full_name(),
            method.is_client_streaming(),
            method.input().full_name(),
            method.is_server_streaming(),
            method.output().full_name(),
        ));
    }
    lines.sort_unstable();
    lines.join("\n")
}

fn compiled(text: &str) -> DescriptorPool {
    struct Text(String);

    impl FileResolver for Text {
        fn open_file(&self, name: &str) -> Result<File, protox::Error> {
            File::from_source(name, &self.0)
        }
    }

    let mut compiler = Compiler::with_file_resolver(Text(text.to_owned()));
    compiler.open_file("health.proto").unwrap();
    compiler.descriptor_pool()
}

#[tokio::test]
async fn a_client_with_messages_of_prost_is_answered() {
    let reporter = Reporter::new();
    let server = serve(Router::new().add(reporter.server())).await;
    let connection = dial(&server).await;
    connection.hello().await.unwrap();
    let client = standard::HealthClient::new(connection);
    let request = || standard::HealthCheckRequest::default();
    let response = standard::Health::check(&client, request()).await.unwrap();
    assert_eq!(response.status(), standard::ServingStatus::Serving);
    let list = standard::Health::list(&client, standard::HealthListRequest {});
    assert_eq!(list.await.unwrap().statuses[""].status, 1);
    let mut stream = standard::Health::watch(&client, request()).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().status, 1);
    reporter.shutdown();
    assert_eq!(stream.next().await.unwrap().unwrap().status, 2);
    assert!(stream.next().await.is_none());
}
