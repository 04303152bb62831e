//! tonic-health as the other end, both ways: what gRPC's health document says, sentence by sentence, and where tonic-health departs from it.
//!
//! The document: <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>, and the comments of `health.proto`.

use std::{collections::HashMap, net::SocketAddr};

use blixard_rpc::{
    Channel, Code, Router, Streaming,
    transport::grpc::{Grpc, GrpcConnector, GrpcServer},
};
use blixard_services::health::{
    Health, HealthCheckRequest, HealthCheckResponse, HealthClient, HealthListRequest, MAX_LISTED,
    Reporter, ServingStatus,
};
use blixard_tests::net::soon;
use http::uri::PathAndQuery;
use tonic_health::pb::{
    HealthCheckRequest as Request, health_check_response::ServingStatus as Says,
    health_client::HealthClient as StockClient,
};
use tonic_prost::ProstCodec;

use crate::host;

type Stock = StockClient<tonic::transport::Channel>;

/// `List`, which tonic-health does not have yet, as prost would generate it.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct ListRequest {}

#[derive(Clone, PartialEq, prost::Message)]
struct ListResponse {
    #[prost(map = "string, message", tag = "1")]
    statuses: HashMap<String, tonic_health::pb::HealthCheckResponse>,
}

/// Our health service in our server, and in tonic's.
async fn ours(reporter: &Reporter) -> (Vec<SocketAddr>, impl Sized) {
    let router = Router::new().add(reporter.server());
    let server = GrpcServer::new(router).bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    (vec![address, host::tonics(reporter.server()).await], server)
}

/// Our client over our connection, and over tonic's channel.
async fn clients(address: SocketAddr) -> [HealthClient; 2] {
    let dialled = GrpcConnector::new().dial(&address.into()).await.unwrap();
    let by_tonic = Grpc::new(host::channel(address).await);
    [Channel::new(dialled), Channel::new(by_tonic)].map(HealthClient::new)
}

fn named(service: &str) -> Request {
    Request {
        service: service.to_owned(),
    }
}

async fn check(client: &mut Stock, service: &str) -> Result<Says, tonic::Code> {
    let answer = soon(client.check(named(service))).await;
    let answer = answer.map_err(|status| status.code())?;
    Ok(answer.into_inner().status())
}

async fn list(client: tonic::transport::Channel) -> Result<ListResponse, tonic::Code> {
    let mut client = tonic::client::Grpc::new(client);
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/grpc.health.v1.Health/List");
    let codec = ProstCodec::<ListRequest, ListResponse>::default();
    let answer = soon(client.unary(tonic::Request::new(ListRequest {}), path, codec)).await;
    answer
        .map(tonic::Response::into_inner)
        .map_err(|status| status.code())
}

#[tokio::test]
async fn tonics_client_is_answered_as_the_document_has_it() {
    let reporter = Reporter::new();
    let (addresses, _server) = ours(&reporter).await;
    for address in addresses {
        let channel = host::channel(address).await;
        let mut client = Stock::new(channel.clone());
        reporter.set_serving("demo.v1.Greeter");
        reporter.set_not_serving("demo.v1.Closed");

        // "if the service name can be found in the registry, a response must be sent back with an OK status and the status field should
        // be set to SERVING or NOT_SERVING accordingly."
        assert_eq!(
            check(&mut client, "demo.v1.Greeter").await,
            Ok(Says::Serving)
        );
        assert_eq!(
            check(&mut client, "demo.v1.Closed").await,
            Ok(Says::NotServing)
        );
        // "If the service name is not registered, the server returns a NOT_FOUND GRPC status."
        assert_eq!(
            check(&mut client, "demo.v1.Other").await,
            Err(tonic::Code::NotFound)
        );
        // "The server should use an empty string as the key for server's overall health status."
        assert_eq!(check(&mut client, "").await, Ok(Says::Serving));
        // "The server can just do exact matching of the service name without support of any kind of wildcard matching."
        for near in [
            "demo.v1.*",
            "demo.v1",
            "demo.v1.greeter",
            "demo.v1.Greeter ",
        ] {
            assert_eq!(check(&mut client, near).await, Err(tonic::Code::NotFound));
        }

        // "List provides a non-atomic snapshot of the health of all the available services."
        let listed = list(channel.clone()).await.unwrap().statuses;
        let mut names: Vec<_> = listed.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["", "demo.v1.Closed", "demo.v1.Greeter"]);
        assert_eq!(listed["demo.v1.Closed"].status(), Says::NotServing);
        // "The server may respond with a RESOURCE_EXHAUSTED error if too many services exist."
        let more: Vec<_> = (0..MAX_LISTED).map(|n| format!("more{n}")).collect();
        more.iter().for_each(|name| reporter.set_serving(name));
        assert_eq!(list(channel).await, Err(tonic::Code::ResourceExhausted));
        more.iter().for_each(|name| reporter.clear(name));
    }
}

#[tokio::test]
async fn tonics_client_watches_as_the_document_has_it() {
    for tonics_server in [false, true] {
        let reporter = Reporter::new();
        let (addresses, _server) = ours(&reporter).await;
        let mut client = Stock::new(host::channel(addresses[usize::from(tonics_server)]).await);
        reporter.set_serving("known");
        let mut known = soon(client.watch(named("known")))
            .await
            .unwrap()
            .into_inner();
        // Here tonic-health's own server answers NOT_FOUND.
        let mut unknown = soon(client.watch(named("unknown")))
            .await
            .unwrap()
            .into_inner();
        let next = async |stream: &mut tonic::Streaming<tonic_health::pb::HealthCheckResponse>| {
            soon(stream.message())
                .await
                .unwrap()
                .map(|answer| answer.status())
        };

        // "The server will immediately send back a message indicating the current serving status."
        assert_eq!(next(&mut known).await, Some(Says::Serving));
        // "If the requested service is unknown when the call is received, the server will send a message setting the serving status to
        // SERVICE_UNKNOWN but will *not* terminate the call."
        assert_eq!(next(&mut unknown).await, Some(Says::ServiceUnknown));
        // "It will then subsequently send a new message whenever the service's serving status changes."
        reporter.set_not_serving("known");
        assert_eq!(next(&mut known).await, Some(Says::NotServing));
        reporter.set_serving("known");
        assert_eq!(next(&mut known).await, Some(Says::Serving));
        // "If at some future point, the serving status of the service becomes known, the server will send a new message with the
        // service's serving status."
        reporter.set_not_serving("unknown");
        assert_eq!(next(&mut unknown).await, Some(Says::NotServing));
        reporter.clear("unknown");
        assert_eq!(next(&mut unknown).await, Some(Says::ServiceUnknown));

        // "If the call terminates with any other status (including OK), clients should retry the call": so who shuts down says before
        // that nothing serves.
        reporter.shutdown();
        assert_eq!(next(&mut known).await, Some(Says::NotServing));
        assert_eq!(next(&mut known).await, None);
        assert_eq!(next(&mut unknown).await, None);
    }
}

#[tokio::test]
async fn our_client_asks_tonics_server() {
    let (mut reporter, health) = tonic_health::server::health_reporter();
    let address = host::tonics(health).await;
    for client in clients(address).await {
        reporter
            .set_service_status("a", tonic_health::ServingStatus::NotServing)
            .await;
        let check = async |service: &str| {
            let answer = soon(client.check(HealthCheckRequest::of(service))).await;
            answer
                .map(|answer| answer.status)
                .map_err(|status| status.code())
        };
        let next = async |stream: &mut Streaming<HealthCheckResponse>| {
            soon(stream.next())
                .await
                .map(|answer| answer.unwrap().status)
        };
        assert_eq!(check("").await, Ok(ServingStatus::Serving));
        assert_eq!(check("a").await, Ok(ServingStatus::NotServing));
        assert_eq!(check("b").await, Err(Code::NotFound));

        let mut watch = soon(client.watch(HealthCheckRequest::of("a")))
            .await
            .unwrap();
        assert_eq!(next(&mut watch).await, Some(ServingStatus::NotServing));
        for (said, seen) in [
            (tonic_health::ServingStatus::Serving, ServingStatus::Serving),
            (tonic_health::ServingStatus::Unknown, ServingStatus::Unknown),
        ] {
            reporter.set_service_status("a", said).await;
            assert_eq!(next(&mut watch).await, Some(seen));
        }
        // Where it departs from the document, the client hears what it says: it ends the watch of what it does not know, or no longer
        // knows, and has no list.
        reporter.clear_service_status("a").await;
        assert_eq!(next(&mut watch).await, None);
        let refused = soon(client.watch(HealthCheckRequest::of("a"))).await;
        assert_eq!(refused.unwrap_err().code(), Code::NotFound);
        let refused = soon(client.list(HealthListRequest {})).await;
        assert_eq!(refused.unwrap_err().code(), Code::Unimplemented);
    }
}
