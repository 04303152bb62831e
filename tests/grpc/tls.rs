//! TLS: who is trusted, and who a peer is by its certificate, ours on both sides and tonic on either.

use std::net::SocketAddr;

use blixard_rpc::{
    Channel, Code, Context, Result, Router, Status,
    call::Peer,
    iroh_service,
    transport::grpc::{
        ClientTls, Grpc, GrpcConfig, GrpcConnector, GrpcPeer, GrpcServer, ServerTls,
    },
};
use blixard_tests::{
    net::soon,
    secrets::{Authority, Signed},
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity, Server, ServerTlsConfig};

#[iroh_service(package = "tls.v1")]
trait Who {
    /// The peer, and the key that it has proved to hold.
    async fn am_i(&self, cx: &Context) -> Result<String>;
}

#[derive(Clone)]
struct Doorman;

impl Who for Doorman {
    async fn am_i(&self, cx: &Context) -> Result<String> {
        let key = match cx.peer().key() {
            Some(key) => Peer::Key(*key).to_string(),
            None => "none".to_owned(),
        };
        let names = match cx.peer().certificate() {
            Some(certificate) => certificate.names().join(" "),
            None => "nobody".to_owned(),
        };
        Ok(format!("{names}, key {key}"))
    }
}

fn router() -> Router {
    Router::new().add(WhoServer::new(Doorman))
}

fn https(address: SocketAddr) -> GrpcPeer {
    format!("https://localhost:{}", address.port())
        .parse()
        .unwrap()
}

async fn ask(connector: &GrpcConnector, peer: &GrpcPeer) -> Result<String> {
    let connection = connector.dial(peer).await?;
    let client = WhoClient::new(Channel::new(connection));
    client.am_i(&Context::background()).await
}

/// Our server, at an address of both loopbacks' names.
async fn serve(tls: ServerTls) -> (SocketAddr, impl Sized) {
    let server = GrpcServer::new(router())
        .tls(tls)
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    (server.local_addr().unwrap(), server)
}

/// Tonic's server with the same.
async fn serve_by_tonic(tls: ServerTlsConfig) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder()
        .tls_config(tls)
        .unwrap()
        .add_service(WhoServer::new(Doorman));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    address
}

#[tokio::test]
async fn a_server_shows_who_it_is() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = authority.sign("localhost");
    let tls = ServerTls::new(server.certificate(), server.key()).unwrap();
    let (address, _server) = serve(tls).await;
    let trusting = |authority: &Authority| {
        let tls = ClientTls::new(authority.pem().as_bytes()).unwrap();
        GrpcConnector::new().tls(tls)
    };
    let answer = soon(ask(&trusting(&authority), &https(address))).await;
    assert_eq!(answer.unwrap(), "nobody, key none");

    // By its address it must be told which name to look for.
    let by_address: GrpcPeer = format!("https://{address}").parse().unwrap();
    let status = soon(ask(&trusting(&authority), &by_address))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let named = ClientTls::new(authority.pem().as_bytes()).unwrap();
    let named = GrpcConnector::new().tls(named.server_name("localhost").unwrap());
    soon(ask(&named, &by_address)).await.unwrap();

    // Who does not trust it, does not know of TLS, or has none to offer, is told so, and was not served.
    for (connector, peer, says) in [
        (trusting(&stranger), https(address), "certificate"),
        (GrpcConnector::new(), https(address), "needs TLS"),
    ] {
        let status = soon(ask(&connector, &peer)).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.message().contains(says), "{status}");
        assert!(!status.was_accepted());
    }
    let status = soon(ask(&GrpcConnector::new(), &address.into()))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(!status.was_accepted());
}

#[tokio::test]
async fn a_client_is_who_it_has_proved_to_be() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (server, client) = (authority.sign("localhost"), authority.sign("node-1"));
    let tls = ServerTls::mutual(
        server.certificate(),
        server.key(),
        authority.pem().as_bytes(),
    );
    let (address, _server) = serve(tls.unwrap()).await;
    let showing = |signed: &Signed| {
        let tls = ClientTls::mutual(
            authority.pem().as_bytes(),
            signed.certificate(),
            signed.key(),
        );
        GrpcConnector::new().tls(tls.unwrap())
    };
    let key = client.public_key();
    let expected = format!("node-1 spiffe://example.org/node-1, key {}", Peer::Key(key));
    let answer = soon(ask(&showing(&client), &https(address))).await;
    assert_eq!(answer.unwrap(), expected);

    // The same to tonic's server, where the generated one stands as it is.
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(server.certificate(), server.key()))
        .client_ca_root(Certificate::from_pem(authority.pem()));
    let tonics = serve_by_tonic(tls).await;
    let answer = soon(ask(&showing(&client), &https(tonics))).await;
    assert_eq!(answer.unwrap(), expected);

    // And by tonic's channel to ours.
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(authority.pem()))
        .identity(Identity::from_pem(client.certificate(), client.key()));
    let endpoint = Endpoint::from_shared(format!("https://localhost:{}", address.port()));
    let endpoint = endpoint.unwrap().tls_config(tls).unwrap();
    let channel = Channel::new(Grpc::new(endpoint.connect().await.unwrap()));
    let answer = soon(async { WhoClient::new(channel).am_i(&Context::background()).await });
    assert_eq!(answer.await.unwrap(), expected);

    // Who shows nothing, or what a stranger has signed, does not get in.
    let nothing = ClientTls::new(authority.pem().as_bytes()).unwrap();
    let forged = stranger.sign("node-1");
    for connector in [GrpcConnector::new().tls(nothing), showing(&forged)] {
        let status = soon(ask(&connector, &https(address))).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    }
}

#[tokio::test]
async fn a_stock_server_with_tls_is_called() {
    let authority = Authority::new();
    let server = authority.sign("localhost");
    let identity = Identity::from_pem(server.certificate(), server.key());
    let address = serve_by_tonic(ServerTlsConfig::new().identity(identity)).await;
    let tls = ClientTls::new(authority.pem().as_bytes()).unwrap();
    let answer = soon(ask(&GrpcConnector::new().tls(tls), &https(address))).await;
    assert_eq!(answer.unwrap(), "nobody, key none");
}

/// Who has proved who it is takes nothing of its address, and has a limit of its own.
#[tokio::test]
async fn a_certificate_has_as_many_connections_as_one_may() {
    let authority = Authority::new();
    let server = authority.sign("localhost");
    let tls = ServerTls::mutual(
        server.certificate(),
        server.key(),
        authority.pem().as_bytes(),
    );
    let config = GrpcConfig {
        max_connections_per_address: 1,
        max_connections_per_identity: 2,
        ..GrpcConfig::default()
    };
    let server = GrpcServer::with_config(router(), config).tls(tls.unwrap());
    let server = server.bind("127.0.0.1:0").await.unwrap();
    let peer = https(server.local_addr().unwrap());
    let [one, two] = ["node-1", "node-2"].map(|name| {
        let signed = authority.sign(name);
        let tls = ClientTls::mutual(
            authority.pem().as_bytes(),
            signed.certificate(),
            signed.key(),
        );
        GrpcConnector::new().tls(tls.unwrap())
    });
    let open = async |connector: &GrpcConnector| {
        soon(async {
            let client = WhoClient::new(connector.dial(&peer).await?);
            client.am_i(&Context::background()).await?;
            Ok::<_, Status>(client)
        })
        .await
    };
    let mut held = Vec::new();
    for connector in [&one, &two, &one, &two] {
        held.push(open(connector).await.unwrap());
    }
    for connector in [&one, &two] {
        let status = open(connector).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    }
    held.remove(0);
    soon(async {
        while server.connections() > 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    held.push(open(&one).await.unwrap());
    assert_eq!(open(&two).await.unwrap_err().code(), Code::Unavailable);
}
