//! A server as a file says: what it switches on and limits is so.

use blixard_rpc::{Router, runner::RunnerConfig};
use http::Request;

use crate::{
    raw::{Raw, bytes_value, framed, request},
    target::{Handlers, TargetServer},
};

#[tokio::test]
async fn what_the_file_says_of_grpc_is_so() {
    let page = "
        mode = \"grpc\"
        reflection = true
        [grpc]
        listen = \"127.0.0.1:0\"
        compression = \"gzip\"
        web_origins = \"https://app.example.org, http://localhost:1\"
        [grpc.limits]
        max_message_bytes = 100_000
        max_connections = 2
    ";
    let config = RunnerConfig::parse(page, "TEST", []).unwrap();
    let router = Router::new().add(TargetServer::new(Handlers::default()));
    let runner = config.runner(router.clone()).await.unwrap();
    let running = runner.start().unwrap();
    let address = running.grpc_addr().unwrap();
    let raw = Raw::connect_to(address).await;
    raw.still_works().await;

    let message = framed(&bytes_value(&[7; 10_000]));
    let call = request("Echo").header("grpc-accept-encoding", "gzip");
    let reply = raw.send(call.body(()).unwrap(), &[&message]).await;
    reply.check(0, "");
    assert_eq!(reply.head["grpc-encoding"], "gzip");

    let message = framed(&bytes_value(&[7; 100_000]));
    let reply = raw
        .send(request("Echo").body(()).unwrap(), &[&message])
        .await;
    reply.check(8, "100000");

    for (origin, allowed) in [
        ("https://app.example.org", true),
        ("http://localhost:1", true),
        ("https://example.org", false),
    ] {
        let preflight = Request::options("http://localhost/raw.v1.Target/Echo")
            .header("origin", origin)
            .header("access-control-request-method", "POST");
        let reply = raw.send(preflight.body(()).unwrap(), &[]).await;
        let said = reply.head.get("access-control-allow-origin");
        assert_eq!(said.is_some(), allowed, "{origin}: {reply:?}");
    }

    let ask =
        Request::post("http://localhost/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
    let ask = ask.header("content-type", "application/grpc");
    let reply = raw.send(ask.body(()).unwrap(), &[&framed(b"")]).await;
    reply.check(0, "");

    // Twice is a mistake, which names the key.
    let error = config.runner(router.reflection().unwrap()).await;
    let error = error.unwrap_err().to_string();
    assert!(
        error.starts_with("reflection = true: the router has it already"),
        "{error}"
    );
}
