//! What a server tells of itself: to stock clients of both versions, complete enough to be called by who knows nothing else.

use std::collections::BTreeMap;

use blixard_rpc::{Router, transport::grpc::GrpcServer};
use blixard_tests::net::soon;
use prost::Message as _;
use prost_types::FileDescriptorProto;
use tokio_stream::StreamExt;
use tonic::transport::{Channel, Endpoint};

use crate::target::{Handlers, TargetServer};

async fn channel() -> (Channel, blixard_rpc::transport::grpc::GrpcHandle) {
    let router = Router::new().add(TargetServer::new(Handlers::default()));
    let server = GrpcServer::new(router).reflection().unwrap();
    let server = server.bind("127.0.0.1:0").await.unwrap();
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
                    host: String::new(),
                    message_request: Some(question),
                };
                let mut client = ServerReflectionClient::new(channel.clone());
                let requests = tokio_stream::iter([request]);
                let answers = client.server_reflection_info(requests).await.unwrap();
                let answer = answers.into_inner().next().await.unwrap().unwrap();
                answer.message_response.unwrap()
            };
            soon(async {
                let MessageResponse::ListServicesResponse(services) =
                    ask(MessageRequest::ListServices(String::new())).await
                else {
                    panic!("a list was asked for");
                };
                let names: Vec<_> = services.service.into_iter().map(|it| it.name).collect();
                assert!(names.contains(&"raw.v1.Target".to_owned()), "{names:?}");

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
