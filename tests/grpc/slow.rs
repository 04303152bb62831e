//! Peers that are slow: they hold what is their own, until their deadline, and nobody else.

use blixard_rpc::{Channel, transport::grpc::GrpcConnector};
use blixard_tests::net::soon;

use crate::{
    frames::{Kind, Raw as Frames, call, data, frame},
    raw::{Raw, framed, request},
    target::{Target, TargetClient, serve},
};

#[tokio::test]
async fn a_reader_that_does_not_read_holds_its_call_until_the_deadline() {
    let (server, subject) = serve().await;
    let raw = Raw::connect(&server).await;
    // An endless stream of 64 KiB each, of which the window takes one: the handler waits for room.
    let pour = |timeout: &str| {
        let request = request("Pour").header("grpc-timeout", timeout);
        request.body(()).unwrap()
    };
    let mut send = raw.0.clone();
    let (response, mut stream) = send.send_request(pour("300m"), false).unwrap();
    stream
        .send_data(framed(&[0x10, 0x80, 0x80, 4]), true)
        .unwrap();
    let mut body = soon(response).await.unwrap().into_body();
    soon(subject.begins.notified()).await;
    raw.still_works().await;
    soon(subject.ended(1)).await;
    // The stream is reset: the status cannot go before what was not read.
    let reset = soon(async {
        loop {
            match body.data().await {
                Some(Ok(chunk)) => drop(chunk),
                Some(Err(error)) => return error.reason(),
                None => return None,
            }
        }
    });
    assert_eq!(reset.await, Some(h2::Reason::CANCEL));
    raw.still_works().await;
}

#[tokio::test]
async fn many_readers_that_do_not_read_stop_nobody_else() {
    let (server, subject) = serve().await;
    let raw = Raw::connect(&server).await;
    let mut held = Vec::new();
    for _ in 0..200 {
        // Each asks for 32 KiB, again and again.
        let mut send = raw.0.clone().ready().await.unwrap();
        let call = request("Pour").body(()).unwrap();
        let (response, mut stream) = send.send_request(call, false).unwrap();
        stream
            .send_data(framed(&[0x10, 0x80, 0x80, 2]), true)
            .unwrap();
        held.push(response);
    }
    // Their heads come, and as much as the window of each takes.
    let mut bodies = Vec::new();
    for response in held {
        bodies.push(soon(response).await.unwrap().into_body());
    }
    raw.still_works().await;
    drop(bodies);
    soon(subject.ended(200)).await;
    raw.still_works().await;
}

#[tokio::test]
async fn a_sender_of_single_bytes_is_as_good_as_any() {
    let (server, _) = serve().await;
    let raw = Raw::connect(&server).await;
    let message = framed(&crate::raw::bytes_value(b"slow"));
    let mut send = raw.0.clone();
    let call = request("Echo").body(()).unwrap();
    let (response, mut stream) = send.send_request(call, false).unwrap();
    for at in 0..message.len() {
        raw.still_works().await;
        let last = at + 1 == message.len();
        stream.send_data(message.slice(at..at + 1), last).unwrap();
    }
    let reply = soon(crate::raw::read(response)).await;
    reply.check(0, "");
    assert_eq!(reply.body, message);
}

#[tokio::test]
async fn who_sends_no_handshake_is_given_up() {
    use tokio::io::AsyncReadExt;

    let config = blixard_rpc::transport::grpc::GrpcConfig {
        handshake_timeout: std::time::Duration::from_millis(200),
        max_handshakes: 2,
        ..Default::default()
    };
    let (server, _) = crate::target::serve_with(config).await;
    let address = server.local_addr().unwrap();
    let mut silent = Vec::new();
    for _ in 0..10 {
        silent.push(tokio::net::TcpStream::connect(address).await.unwrap());
    }
    // Behind them, but only for as long as they may take.
    soon(async { Raw::connect(&server).await.still_works().await }).await;
    for mut stream in silent {
        let mut bytes = Vec::new();
        let _ = soon(stream.read_to_end(&mut bytes)).await;
    }
}

/// How many messages stand still in each of [`STREAMS`]: less than a window, and together more frames than `h2` lets wait.
const MESSAGES: usize = 30_000;
const STREAMS: usize = 5;

#[tokio::test]
async fn small_requests_that_are_not_read_stop_nobody_else() {
    let (server, subject) = serve().await;
    let mut raw = Frames::connect(&server).await;
    let streams: Vec<u32> = (0..STREAMS as u32).map(|at| 2 * at + 1).collect();
    for stream in &streams {
        raw.send(&call(*stream, "Hold")).await;
        // Each message in a frame of its own.
        raw.send(&data(*stream, &framed(b""), false).repeat(MESSAGES))
            .await;
    }
    raw.send(&frame(Kind::PING, 0, 0, &[7; 8])).await;
    raw.wait_for(|frame| frame.kind == Kind::PING && frame.flags == 1)
        .await;
    assert_eq!(subject.begun(), STREAMS);
    Raw::connect(&server).await.still_works().await;

    // None of them was lost, nor is anything else when they are read.
    subject.go.send_replace(true);
    for stream in streams {
        raw.send(&data(stream, &framed(b""), true)).await;
        let answer = raw
            .wait_for(|frame| frame.stream == stream && frame.kind == Kind::DATA)
            .await;
        let mut expected = vec![8];
        prost::encoding::encode_varint(MESSAGES as u64 + 1, &mut expected);
        assert_eq!(answer.payload, framed(&expected));
    }
}

#[tokio::test]
async fn small_requests_that_are_never_read_give_their_window_back() {
    let (server, subject) = serve().await;
    let mut raw = Frames::connect(&server).await;
    // Together more than twice what a connection may have unread.
    let rounds = 160;
    for at in 0..rounds {
        let stream = 2 * at + 1;
        raw.send(&call(stream, "Hold")).await;
        let block = framed(&[0; 995]);
        let most = data(stream, &block, false).repeat(500);
        raw.send(&most).await;
        raw.send(&frame(Kind::RST_STREAM, 0, stream, &[0, 0, 0, 8]))
            .await;
    }
    raw.send(&call(2 * rounds + 1, "Sum")).await;
    raw.send(&data(2 * rounds + 1, &framed(&[8, 1]), true))
        .await;
    let answer = raw
        .wait_for(|frame| frame.stream == 2 * rounds + 1 && frame.kind == Kind::DATA)
        .await;
    assert_eq!(answer.payload, framed(&[8, 1]));
    soon(subject.ended(rounds as usize)).await;
}

#[tokio::test]
async fn small_answers_that_are_not_read_stop_nobody_else() {
    let (server, _) = serve().await;
    let peer = server.local_addr().unwrap().into();
    let dialled = GrpcConnector::new().dial(&peer).await.unwrap();
    let client = TargetClient::new(Channel::new(dialled));
    let mut held = Vec::new();
    for _ in 0..STREAMS {
        held.push(soon(client.drip(MESSAGES as u64)).await.unwrap());
    }
    // Until all of them have come, as far as that can be seen: other calls pass all the time.
    for _ in 0..MESSAGES / 10 {
        let answer = soon(client.echo("a".into())).await;
        assert_eq!(answer.unwrap(), "a");
    }
    for responses in held {
        let all = soon(responses.collect()).await.unwrap();
        assert_eq!(all.len(), MESSAGES);
    }
}
