//! Every transport passes the conformance suite, by one line each.

use blixard_rpc::{
    Channel, Memory, Router,
    call::Peer,
    codec::Codec,
    link::{MAX_INBOUND_BYTES, MAX_LANE_QUEUE_BYTES},
    testing::conformance::Connected,
    transport::{
        grpc::{
            GrpcConnector, GrpcServer, SEND_BUFFER_BYTES, STREAM_WINDOW_BYTES as GRPC_WINDOW_BYTES,
        },
        iroh::STREAM_WINDOW_BYTES,
    },
};
use blixard_tests::net::{dial_from, endpoint, serve};

blixard_rpc::conformance!(memory, memory(Codec::Postcard));
blixard_rpc::conformance!(memory_protobuf, memory(Codec::Protobuf));
blixard_rpc::conformance!(iroh, iroh);
blixard_rpc::conformance!(grpc, grpc);

fn memory(codec: Codec) -> impl AsyncFnOnce(Router) -> Connected {
    async move |router| Connected {
        channel: Channel::new(Memory::new(router).with_codec(codec)),
        codec,
        client: Peer::Memory,
        ahead_bytes: 0,
        queue_limit_bytes: 0,
        peak_queued_bytes: Box::new(|| 0),
        keep: Box::new(()),
    }
}

async fn iroh(router: Router) -> Connected {
    let (server, endpoint) = (serve(router).await, endpoint().await);
    let client = endpoint.id();
    let connection = dial_from(endpoint, &server).await;
    connection.hello().await.expect("the server says hello");
    Connected {
        channel: Channel::new(connection.clone()),
        codec: Codec::Postcard,
        client: Peer::Key(*client.as_bytes()),
        ahead_bytes: STREAM_WINDOW_BYTES as usize,
        queue_limit_bytes: MAX_INBOUND_BYTES + MAX_LANE_QUEUE_BYTES,
        peak_queued_bytes: Box::new(move || connection.peak_queued_bytes()),
        keep: Box::new(server),
    }
}

async fn grpc(router: Router) -> Connected {
    let server = GrpcServer::new(router).bind("127.0.0.1:0").await;
    let server = server.expect("loopback can be bound");
    let address = server.local_addr().expect("it listens on an address");
    let connection = GrpcConnector::new().dial(&address.into()).await;
    let connection = connection.expect("the server answers");
    Connected {
        client: Peer::Address(connection.local_addr().expect("it has an address")),
        channel: Channel::new(connection),
        codec: Codec::Protobuf,
        ahead_bytes: GRPC_WINDOW_BYTES as usize + SEND_BUFFER_BYTES,
        queue_limit_bytes: 0,
        peak_queued_bytes: Box::new(|| 0),
        keep: Box::new(server),
    }
}
