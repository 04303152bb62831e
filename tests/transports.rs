//! Every transport passes the conformance suite, by one line each.

use std::{
    any::Any,
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use blixard_rpc::{
    Channel, Memory, Pool, Router,
    call::{Certificate, Peer},
    codec::Codec,
    link::{
        DEFAULT_MAX_CALLS, MAX_CALL_QUEUE_BYTES, MAX_INBOUND_BYTES, MAX_LANE_QUEUE_BYTES,
        MAX_LANES_PER_CONNECTION, MAX_OUTBOUND_BYTES,
    },
    runner::{DualChannel, Prefer},
    testing::conformance::{Connected, Queued, Queues},
    transport::{
        grpc::{
            CONNECTION_WINDOW_BYTES, ClientTls, Grpc, GrpcConnector, GrpcPeer, GrpcServer,
            GrpcService, SEND_BUFFER_BYTES, STREAM_WINDOW_BYTES as GRPC_WINDOW_BYTES, ServerTls,
        },
        iroh::{IrohConnector, STREAM_WINDOW_BYTES},
    },
};
use blixard_tests::{
    net::{dial_from, endpoint, serve},
    secrets::Secrets,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::wrappers::TcpListenerStream;

blixard_rpc::conformance!(memory, memory(Codec::Postcard));
blixard_rpc::conformance!(memory_protobuf, memory(Codec::Protobuf));
blixard_rpc::conformance!(iroh, iroh);
blixard_rpc::conformance!(grpc, grpc);
blixard_rpc::conformance!(grpc_secured, grpc_secured);
blixard_rpc::conformance!(grpc_by_tonic, grpc_by_tonic);
blixard_rpc::conformance!(grpc_in_tonic, grpc_in_tonic);
blixard_rpc::conformance!(dual, dual);
blixard_rpc::conformance!(dual_without_iroh, dual_without_iroh);
blixard_rpc::conformance!(dual_without_grpc, dual_without_grpc);

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

async fn grpc(router: Router) -> Connected {
    let server = GrpcServer::new(router).bind("127.0.0.1:0").await;
    let server = server.expect("loopback can be bound");
    let address = server.local_addr().expect("it listens on an address");
    let connection = GrpcConnector::new().dial(&address.into()).await;
    let connection = connection.expect("the server answers");
    Connected {
        client: Peer::Address(connection.local_addr().expect("it has an address")),
        ..connected(Channel::new(connection), Box::new(server))
    }
}

/// With mutual TLS.
async fn grpc_secured(router: Router) -> Connected {
    let secrets = Secrets::new();
    let (authority, server, client) = (secrets.authority(), &secrets.server, &secrets.client);
    let tls = ServerTls::mutual(server.certificate(), server.key(), authority);
    let server = GrpcServer::new(router)
        .tls(tls.expect("it is right"))
        .bind("127.0.0.1:0")
        .await
        .expect("loopback can be bound");
    let address = server.local_addr().expect("it listens on an address");
    let peer: GrpcPeer = format!("https://localhost:{}", address.port())
        .parse()
        .expect("it is an address");
    let tls = ClientTls::mutual(authority, client.certificate(), client.key());
    let connector = GrpcConnector::new().tls(tls.expect("it is right"));
    let connection = connector.dial(&peer).await.expect("the server answers");
    Connected {
        client: Peer::Certificate(Certificate::new(client.der(), Vec::new(), None)),
        ..connected(Channel::new(connection), Box::new(server))
    }
}

/// Over tonic's own channel.
async fn grpc_by_tonic(router: Router) -> Connected {
    let server = GrpcServer::new(router).bind("127.0.0.1:0").await;
    let server = server.expect("loopback can be bound");
    let address = server.local_addr().expect("it listens on an address");
    let (channel, client) = tonics_channel(address).await;
    Connected {
        client,
        ..connected(Channel::new(Grpc::new(channel)), Box::new(server))
    }
}

/// Over tonic's own channel and server.
async fn grpc_in_tonic(router: Router) -> Connected {
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("loopback can be bound");
    let address = listener.local_addr().expect("it listens on an address");
    let everything = axum::Router::new().fallback_service(GrpcService::new(router));
    let server = tonic::transport::Server::builder()
        .initial_stream_window_size(GRPC_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(1024)
        // By default a connection on which twenty calls are cancelled before they are begun is given up, which a busy machine makes of
        // every test that cancels.
        .http2_max_pending_accept_reset_streams(Some(1024))
        .add_routes(tonic::service::Routes::from(everything));
    let server = tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let (channel, client) = tonics_channel(address).await;
    Connected {
        client,
        ..connected(Channel::new(Grpc::new(channel)), Box::new(server))
    }
}

fn connected(channel: Channel, keep: Box<dyn Any + Send + Sync>) -> Connected {
    Connected {
        channel,
        codec: Codec::Protobuf,
        client: Peer::Unknown,
        ahead_bytes: GRPC_WINDOW_BYTES as usize + SEND_BUFFER_BYTES,
        queued: Queued::Unknown("h2 does not say what lies in its buffers"),
        keep,
    }
}

/// A channel of tonic's, and as whom its connection is seen.
async fn tonics_channel(server: SocketAddr) -> (tonic::transport::Channel, Peer) {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{server}"))
        .expect("it is an address")
        .initial_stream_window_size(GRPC_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    let local = Arc::new(OnceLock::new());
    let seen = Arc::clone(&local);
    let connector = tower::service_fn(move |_: http::Uri| {
        let seen = Arc::clone(&seen);
        async move {
            let stream = TcpStream::connect(server).await?;
            stream.set_nodelay(true)?;
            seen.get_or_init(|| stream.local_addr());
            Ok::<_, std::io::Error>(hyper_util::rt::TokioIo::new(stream))
        }
    });
    let channel = endpoint.connect_with_connector(connector).await;
    let address = local.get().expect("it has connected").as_ref();
    let address = *address.expect("it has an address");
    (channel.expect("the server answers"), Peer::Address(address))
}

async fn dual(router: Router) -> Connected {
    let (iroh, grpc) = (iroh(router.clone()).await, grpc(router).await);
    Connected {
        channel: Channel::new(DualChannel::new(iroh.channel, grpc.channel)),
        // What both carry.
        codec: Codec::Protobuf,
        keep: Box::new((iroh.keep, grpc.keep)),
        ..iroh
    }
}

/// Nobody is at the peer's address.
async fn dual_without_iroh(router: Router) -> Connected {
    let grpc = grpc(router).await;
    let gone = endpoint().await;
    let address = gone.addr();
    gone.close().await;
    let iroh = Pool::new(IrohConnector::new(endpoint().await)).channel(address.into());
    Connected {
        channel: Channel::new(DualChannel::new(iroh, grpc.channel)),
        ..grpc
    }
}

/// Nobody listens at the server's address.
async fn dual_without_grpc(router: Router) -> Connected {
    let iroh = iroh(router).await;
    let closed = TcpListener::bind("127.0.0.1:0").await;
    let closed = closed.expect("loopback can be bound");
    let address = closed.local_addr().expect("it listens on an address");
    drop(closed);
    let grpc = Pool::new(GrpcConnector::new()).channel(address.into());
    Connected {
        channel: Channel::new(DualChannel::preferring(Prefer::Grpc, iroh.channel, grpc)),
        codec: Codec::Protobuf,
        ..iroh
    }
}
