//! What a server can answer that it must not: what the client makes of it, and that its other calls and connections go on.

use std::{future::Future, pin::Pin, time::Duration};

use blixard_rpc::{
    Code,
    link::LivenessConfig,
    transport::iroh::{Endpoint, IrohConnector},
    wire::{FrameType, StatusHead},
};
use blixard_tests::net::{dial, endpoint, serve, soon};
use bytes::Bytes;
use iroh::endpoint::{Connection, RecvStream, SendStream};

use crate::{
    raw::{
        DATA, END, ERROR, HELLO_ID, NONE, PONG, POSTCARD, PROTOBUF, REQUEST, RESPONSE,
        bytes_message, call, data, end, frame, header, hello, lane_response, read_frame,
        tree_message, written,
    },
    target::{Seen, Target, TargetClient, Tree},
};

/// What the hostile server does with the first call: it gets its id.
type Answer = fn(u128) -> Vec<u8>;

struct Case {
    name: &'static str,
    answer: Answer,
    /// Whether the stream is ended then.
    finish: bool,
    code: Code,
    says: &'static str,
    /// Whether the connection is given up with it.
    closes: bool,
}

fn kept(name: &'static str, answer: Answer, code: Code, says: &'static str) -> Case {
    Case {
        name,
        answer,
        finish: false,
        code,
        says,
        closes: false,
    }
}

fn closed(name: &'static str, answer: Answer, code: Code, says: &'static str) -> Case {
    Case {
        closes: true,
        ..kept(name, answer, code, says)
    }
}

fn ended(name: &'static str, answer: Answer, code: Code, says: &'static str) -> Case {
    Case {
        finish: true,
        ..kept(name, answer, code, says)
    }
}

fn pong(payload: &[u8]) -> Vec<u8> {
    frame(PONG, NONE, HELLO_ID, payload)
}

/// Metadata of 200 entries.
fn metadata_bomb() -> Vec<u8> {
    [0x0a, 3, 0x0a, 1, b'k'].repeat(200)
}

fn status_ok() -> Vec<u8> {
    vec![8, 0]
}

/// Serves as `answer` says: on each stream it reads up to the first Request.
async fn misbehave(endpoint: Endpoint, answer: Answer, finish: bool) {
    let connection = endpoint.accept().await.unwrap().await.unwrap();
    while let Ok((send, recv)) = connection.accept_bi().await {
        tokio::spawn(stream(connection.clone(), send, recv, answer, finish));
    }
}

async fn stream(
    _connection: Connection,
    mut send: SendStream,
    mut recv: RecvStream,
    answer: Answer,
    finish: bool,
) {
    while let Ok(Some((header, _))) = read_frame(&mut recv).await {
        if header.kind == FrameType::Request {
            let bytes = answer(u128::from_be_bytes(header.id.0));
            let _ = send.write_all(&bytes).await;
            if finish {
                let _ = send.finish();
            }
        } else if header.kind == FrameType::Ping {
            let hello = written(|out| hello().encode(out));
            let pong = frame(PONG, NONE, u128::from_be_bytes(header.id.0), &hello);
            let _ = send.write_all(&pong).await;
        }
    }
    std::future::pending::<()>().await;
}

type Caller = for<'a> fn(
    &'a TargetClient,
) -> Pin<Box<dyn Future<Output = blixard_rpc::Result<()>> + Send + 'a>>;

async fn check(cases: Vec<Case>, call: Caller) {
    let good = serve(Seen::default().router()).await;
    let honest = TargetClient::new(dial(&good).await);
    let from = endpoint().await;
    for case in cases {
        let name = case.name;
        let bad = endpoint().await;
        let address = bad.addr();
        let server = tokio::spawn(misbehave(bad, case.answer, case.finish));
        let connection = soon(IrohConnector::new(from.clone()).dial(address)).await;
        let connection = connection.unwrap();
        let client = TargetClient::new(blixard_rpc::Channel::new(connection.clone()));
        let status = soon(call(&client)).await.expect_err(name);
        assert_eq!(status.code(), case.code, "{name}: {status}");
        assert!(status.message().contains(case.says), "{name}: {status}");
        if case.closes {
            let status = soon(connection.closed()).await;
            assert!(status.message().contains(case.says), "{name}: {status}");
        } else {
            assert!(connection.close_status().is_none(), "{name}");
        }
        let answer = soon(honest.echo(Bytes::from_static(b"hi"))).await;
        assert_eq!(answer.unwrap(), "hi", "after: {name}");
        server.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_on_a_lane() {
    const LARGE: &str = "limit is 65536 bytes";
    let broke = Code::Internal;
    check(
        vec![
            closed(
                "version 2",
                |id| [&[2][..], &lane_response(id, &[])[1..]].concat(),
                broke,
                "version 2",
            ),
            closed(
                "type 9",
                |id| header(9, NONE, 0, 0, id),
                broke,
                "unknown frame type 9",
            ),
            closed(
                "codec 9",
                |id| header(RESPONSE, 9, 0, 0, id),
                broke,
                "codec 9",
            ),
            closed(
                "one-way response",
                |id| header(RESPONSE, PROTOBUF, 1, 0, id),
                broke,
                "flags",
            ),
            closed(
                "response of 4 GiB",
                |id| header(RESPONSE, PROTOBUF, 0, u32::MAX, id),
                Code::ResourceExhausted,
                LARGE,
            ),
            closed(
                "request",
                |id| frame(REQUEST, PROTOBUF, id, &[]),
                broke,
                "unexpected frame type",
            ),
            closed(
                "data",
                |id| data(id, &[b"x"]),
                broke,
                "unexpected StreamData",
            ),
            closed(
                "10 MiB announced",
                |id| header(DATA, PROTOBUF, 0, 10 << 20, id),
                broke,
                "unexpected StreamData",
            ),
            closed("end", end, broke, "unexpected frame type"),
            closed(
                "hello of noise",
                |_| pong(&[0xff; 9]),
                broke,
                "malformed hello",
            ),
            closed("hello of version 7", |_| pong(&[8, 7]), broke, "version 7"),
            closed(
                "hello with 513 services",
                |_| {
                    let service = [&[0x22, 21, 0x0a, 1, b's', 0x12, 16][..], &[0; 16]].concat();
                    pong(&[vec![8, 1], service.repeat(513)].concat())
                },
                Code::ResourceExhausted,
                "limit",
            ),
            Case {
                finish: true,
                ..closed(
                    "a cut response",
                    |id| lane_response(id, b"x")[..25].to_vec(),
                    Code::Unavailable,
                    "without an explicit end",
                )
            },
            ended(
                "no answer",
                |_| Vec::new(),
                Code::Unavailable,
                "ended the lane",
            ),
            kept(
                "response in another codec",
                |id| frame(RESPONSE, POSTCARD, id, &call(&[], &[0])),
                broke,
                "codec",
            ),
            kept(
                "response of nothing",
                |id| frame(RESPONSE, PROTOBUF, id, &[]),
                broke,
                "malformed head length",
            ),
            kept(
                "head of noise",
                |id| frame(RESPONSE, PROTOBUF, id, &call(&[0xff; 9], &[])),
                broke,
                "malformed response head",
            ),
            kept(
                "200 entries",
                |id| frame(RESPONSE, PROTOBUF, id, &call(&metadata_bomb(), &[])),
                Code::ResourceExhausted,
                "limit is 8192",
            ),
            kept(
                "message of noise",
                |id| lane_response(id, &[0xff; 9]),
                broke,
                "Echo",
            ),
            kept(
                "error of noise",
                |id| frame(ERROR, NONE, id, &[0xff; 9]),
                broke,
                "malformed status",
            ),
            kept(
                "error of code OK",
                |id| frame(ERROR, NONE, id, &status_ok()),
                broke,
                "code OK",
            ),
            kept(
                "error of code 99",
                |id| frame(ERROR, NONE, id, &[8, 99]),
                Code::Unknown,
                "",
            ),
            kept(
                "answers to ids never used, and a Pong never asked for, before it",
                |id| {
                    let unasked =
                        u128::from_be_bytes(*b"ping\0\0\x80\0\x80\xff\xff\xff\xff\xff\xff\xff");
                    let status = written(|out| {
                        StatusHead::encode(&blixard_rpc::Status::not_found("it"), out)
                    });
                    [
                        lane_response(1, &bytes_message(b"no")),
                        frame(ERROR, NONE, 0, &status),
                        frame(PONG, NONE, unasked, &[]),
                        frame(ERROR, NONE, id, &status),
                    ]
                    .concat()
                },
                Code::NotFound,
                "it",
            ),
        ],
        |client| Box::pin(async { client.echo(Bytes::from_static(b"hi")).await.map(drop) }),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_on_a_stream() {
    fn begun(id: u128, rest: &[u8]) -> Vec<u8> {
        [&frame(RESPONSE, PROTOBUF, id, &[]), rest].concat()
    }
    let broke = Code::Internal;
    check(
        vec![
            ended(
                "nothing",
                |_| Vec::new(),
                Code::Unavailable,
                "without an explicit end",
            ),
            ended(
                "no end",
                |id| begun(id, &[]),
                Code::Unavailable,
                "without an explicit end",
            ),
            ended(
                "a cut item",
                |id| begun(id, &data(id, &[b"xyz"])[..26]),
                Code::Unavailable,
                "without an explicit end",
            ),
            kept("data first", |id| data(id, &[b"x"]), broke, "unexpected"),
            kept(
                "a response in another codec",
                |id| frame(RESPONSE, POSTCARD, id, &[]),
                broke,
                "unexpected first frame",
            ),
            kept(
                "data in another codec",
                |id| begun(id, &frame(DATA, POSTCARD, id, &[1, 0])),
                broke,
                "codec",
            ),
            kept(
                "a second response",
                |id| begun(id, &frame(RESPONSE, PROTOBUF, id, &[])),
                broke,
                "unexpected frame",
            ),
            kept(
                "data of 4 GiB",
                |id| begun(id, &header(DATA, PROTOBUF, 0, u32::MAX, id)),
                Code::ResourceExhausted,
                "limit",
            ),
            kept(
                "an item longer than its frame",
                |id| begun(id, &frame(DATA, PROTOBUF, id, &[9, 0])),
                broke,
                "malformed message length",
            ),
            kept(
                "several items of 64 KiB and a byte together",
                |id| begun(id, &data(id, &vec![&[][..]; (64 << 10) + 1])),
                Code::ResourceExhausted,
                "65537 bytes, the limit is 65536",
            ),
            kept(
                "an item of noise",
                |id| begun(id, &data(id, &[&[0xff; 9]])),
                broke,
                "Pour",
            ),
            kept(
                "an end of noise",
                |id| begun(id, &frame(END, NONE, id, &[0xff; 9])),
                broke,
                "malformed response head",
            ),
            kept(
                "an error of code OK",
                |id| begun(id, &frame(ERROR, NONE, id, &status_ok())),
                broke,
                "code OK",
            ),
        ],
        |client| {
            Box::pin(async {
                let mut items = client.pour().await?;
                while let Some(item) = items.next().await {
                    item?;
                }
                Ok(())
            })
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_too_deep() {
    check(
        vec![kept(
            "15 000 deep",
            |id| lane_response(id, &tree_message(15_000)),
            Code::ResourceExhausted,
            "deep",
        )],
        |client| Box::pin(async { client.tree(Tree::default()).await.map(drop) }),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_says_nothing_is_given_up() {
    let bad = endpoint().await;
    let address = bad.addr();
    let silent = tokio::spawn(async move {
        let connection = bad.accept().await.unwrap().await.unwrap();
        connection.closed().await
    });
    let liveness = LivenessConfig {
        interval: Duration::from_millis(50),
        timeout: Duration::from_millis(500),
    };
    let connector = IrohConnector::new(endpoint().await).liveness(liveness);
    let client = TargetClient::new(soon(connector.dial(address)).await.unwrap());
    let status = soon(client.echo(Bytes::new())).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(
        status.message().contains("has not answered a ping"),
        "{status}"
    );
    let closed = soon(silent).await.unwrap().to_string();
    assert!(closed.contains("no answer to a ping"), "{closed}");
}
