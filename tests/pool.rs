//! The pool over iroh: one connection a peer, dialled when needed and again when lost, whatever the server has become meanwhile.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use blixard_rpc::{
    Channel, Code, Dispatch, Layer, Pool, PooledChannel, Result, Router,
    codec::Codec,
    iroh_service,
    middleware::Retry,
    transport::iroh::{
        ALPN, Endpoint, IrohConnector, IrohServer, SHUTDOWN_GRACE, SecretKey, ServerHandle,
        presets, transport_config,
    },
};
use blixard_tests::net::{endpoint, serve, soon};

mod old {
    use super::*;

    #[iroh_service(package = "pool.v1")]
    pub(super) trait Echo {
        #[rpc(idempotent)]
        async fn echo(&self, text: String) -> Result<String>;
    }

    pub(super) struct Same;

    impl Echo for Same {
        async fn echo(&self, text: String) -> Result<String> {
            Ok(text)
        }
    }
}

/// The next version of the service: the schema is another one, and what was there still works.
mod new {
    use super::*;

    #[iroh_service(package = "pool.v1")]
    pub(super) trait Echo {
        async fn added(&self, number: u32) -> Result<u32>;
        #[rpc(idempotent)]
        async fn echo(&self, text: String) -> Result<String>;
    }

    pub(super) struct Same;

    impl Echo for Same {
        async fn added(&self, number: u32) -> Result<u32> {
            Ok(number)
        }
        async fn echo(&self, text: String) -> Result<String> {
            Ok(text)
        }
    }
}

use old::{Echo as _, EchoClient, EchoService};

fn codec(channel: &PooledChannel<IrohConnector>) -> Codec {
    channel.codec(EchoService::descriptor())
}

/// Serves under a key at an address, as a server does that is started again.
async fn serve_at(key: &SecretKey, address: SocketAddr, router: Router) -> ServerHandle {
    let bind = || async {
        Endpoint::builder(presets::Minimal)
            .secret_key(key.clone())
            .alpns(vec![ALPN.to_vec()])
            .clear_ip_transports()
            .bind_addr(address)
            .expect("loopback is an address")
            .transport_config(transport_config())
            .bind()
            .await
    };
    let endpoint = loop {
        match bind().await {
            Ok(endpoint) => break endpoint,
            // The one before may not have let go of the port yet.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    IrohServer::new(router).spawn(endpoint)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everyone_shares_one_connection() {
    let server = serve(Router::new().add(old::EchoServer::new(old::Same))).await;
    let pool = Pool::new(IrohConnector::new(endpoint().await));
    let calls = (0..50).map(|i| {
        let channel = pool.channel(server.endpoint().addr().into());
        tokio::spawn(async move {
            EchoClient::new(Channel::new(channel))
                .echo(i.to_string())
                .await
        })
    });
    for (i, call) in calls.collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(soon(call).await.unwrap().unwrap(), i.to_string());
    }
    assert_eq!(pool.connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_back_as_another_version_is_dialled_again_and_understood() {
    let key = SecretKey::generate();
    let any = "127.0.0.1:0".parse().unwrap();
    let first = serve_at(
        &key,
        any,
        Router::new().add(old::EchoServer::new(old::Same)),
    )
    .await;
    let address = *first.endpoint().addr().ip_addrs().next().unwrap();

    let pool = Pool::new(IrohConnector::new(endpoint().await));
    let channel = pool.channel(first.endpoint().addr().into());
    let client = EchoClient::new(Retry::new().max_attempts(20).layer(channel.clone()));
    assert_eq!(soon(client.echo("a".into())).await.unwrap(), "a");
    // The hello comes beside the first call.
    while codec(&channel) != Codec::Postcard {
        soon(client.echo("b".into())).await.unwrap();
    }

    soon(first.shutdown(SHUTDOWN_GRACE)).await;
    let second = serve_at(
        &key,
        address,
        Router::new().add(new::EchoServer::new(new::Same)),
    )
    .await;
    assert_eq!(soon(client.echo("c".into())).await.unwrap(), "c");
    assert_eq!(soon(client.echo("d".into())).await.unwrap(), "d");
    assert_eq!(codec(&channel), Codec::Protobuf);
    soon(second.shutdown(SHUTDOWN_GRACE)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_peer_is_away_calls_fail_at_once_and_say_why() {
    let server = serve(Router::new()).await;
    let peer = server.endpoint().addr();
    soon(server.shutdown(SHUTDOWN_GRACE)).await;
    let connector = IrohConnector::new(endpoint().await);
    let pool = Pool::new(connector.connect_timeout(Duration::from_millis(300)));
    let channel = pool.channel(peer.clone().into());
    let client = EchoClient::new(channel);
    soon(client.echo("a".into())).await.unwrap_err();

    let began = Instant::now();
    let status = soon(client.echo("a".into())).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_millis(200));
    assert_eq!(status.code(), Code::Unavailable);
    assert!(!status.was_accepted());
    let id = peer.id.to_string();
    for part in [id.as_str(), "300ms", "the next attempt is made in"] {
        assert!(status.message().contains(part), "{status} says no {part}");
    }
}
