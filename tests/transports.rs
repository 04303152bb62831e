//! Every transport passes the conformance suite, by one line each.

use blixard_rpc::{
    Channel, Memory, Router,
    call::Peer,
    codec::Codec,
    link::{
        DEFAULT_MAX_CALLS, MAX_CALL_QUEUE_BYTES, MAX_INBOUND_BYTES, MAX_LANE_QUEUE_BYTES,
        MAX_LANES_PER_CONNECTION, MAX_OUTBOUND_BYTES,
    },
    testing::conformance::{Connected, Queued, Queues},
    transport::iroh::STREAM_WINDOW_BYTES,
};
use blixard_tests::net::{dial_from, endpoint, serve};

blixard_rpc::conformance!(memory, memory(Codec::Postcard));
blixard_rpc::conformance!(memory_protobuf, memory(Codec::Protobuf));
blixard_rpc::conformance!(iroh, iroh);

fn memory(codec: Codec) -> impl AsyncFnOnce(Router) -> Connected {
    async move |router| Connected {
        channel: Channel::new(Memory::new(router).with_codec(codec)),
        codec,
        client: Peer::Memory,
        ahead_bytes: 0,
        queued: Queued::Nothing(
            "the caller's task runs the handler, and takes each message as it is made",
        ),
        keep: Box::new(()),
    }
}

async fn iroh(router: Router) -> Connected {
    let (server, endpoint) = (serve(router).await, endpoint().await);
    let client = endpoint.id();
    let connection = dial_from(endpoint, &server).await;
    connection.hello().await.expect("the server says hello");
    let (client_side, server_side) = (connection.clone(), server.server().clone());
    Connected {
        channel: Channel::new(connection),
        codec: Codec::Postcard,
        client: Peer::Key(*client.as_bytes()),
        ahead_bytes: STREAM_WINDOW_BYTES as usize,
        queued: Queued::Bytes(Queues {
            limit_bytes: MAX_INBOUND_BYTES
                + MAX_OUTBOUND_BYTES
                + MAX_LANES_PER_CONNECTION * MAX_LANE_QUEUE_BYTES
                + DEFAULT_MAX_CALLS as usize * MAX_CALL_QUEUE_BYTES,
            call_limit_bytes: MAX_CALL_QUEUE_BYTES,
            sent_limit_bytes: MAX_OUTBOUND_BYTES,
            received_limit_bytes: MAX_INBOUND_BYTES,
            client_peak_bytes: Box::new(move || client_side.peak_queued_bytes()),
            server_peak_bytes: Box::new(move || server_side.peak_queued_bytes()),
        }),
        keep: Box::new(server),
    }
}
