//! What a client can send that it must not: what it is told, and that its connection, or at least everyone else's, goes on.

use blixard_rpc::{
    Code, Message, Metadata,
    codec::Codec,
    method::Fingerprint,
    wire::{Hello, limits},
};
use blixard_tests::net::{dial, serve, soon};
use bytes::Bytes;

use crate::{
    raw::{
        Attacker, DATA, END, ERROR, HELLO_ID, Heard, NONE, ONEWAY, PING, PONG, POSTCARD, PROTOBUF,
        PROTOCOL, REQUEST, RESPONSE, bytes_message, call, data, end, frame, head, head_with,
        header, hello, lane_request, path, ping, request, tree_message, whole_call, written,
    },
    target::{Seen, Target, TargetClient},
};

/// What must come of it.
enum Want {
    /// The connection is closed, with a reason that says so.
    Closed(&'static str),
    /// The stream is reset; the connection goes on.
    Reset,
    /// A status, with a message that says so; the connection goes on.
    Status(Code, &'static str),
    /// The call is answered as if nothing were.
    Answer,
}

struct Case {
    name: &'static str,
    /// Written to a new stream pair.
    bytes: Vec<u8>,
    /// Whether the stream is ended then.
    finish: bool,
    want: Want,
}

fn case(name: &'static str, bytes: Vec<u8>, want: Want) -> Case {
    Case {
        name,
        bytes,
        finish: false,
        want,
    }
}

fn cut(name: &'static str, bytes: Vec<u8>, want: Want) -> Case {
    Case {
        finish: true,
        ..case(name, bytes, want)
    }
}

const ID: u128 = 0x0123_4567_89ab_8def_8123_4567_89ab_cdef;

async fn check(cases: Vec<Case>) {
    let server = serve(Seen::default().router()).await;
    let honest = TargetClient::new(dial(&server).await);
    for Case {
        name,
        bytes,
        finish,
        want,
    } in cases
    {
        // A connection of its own: the server may take a call for one in flight, and its id for one in use, until the answer was
        // acknowledged.
        let attacker = Attacker::dial(&server).await;
        let heard = attacker.say(&bytes, finish).await;
        let closed = match want {
            Want::Closed(reason) => {
                let (code, text) = attacker.closed().await;
                assert_eq!(code, PROTOCOL, "{name}: {text}");
                assert!(text.contains(reason), "{name}: {text}");
                true
            }
            Want::Reset => {
                assert_eq!(heard, Heard::Reset(2), "{name}");
                false
            }
            Want::Status(code, part) => {
                let Heard::Status(actual, text) = &heard else {
                    panic!("{name}: {heard:?}");
                };
                assert_eq!(*actual, code, "{name}: {text}");
                assert!(text.contains(part), "{name}: {text}");
                false
            }
            Want::Answer => {
                assert_eq!(heard, Heard::Response(bytes_message(b"hi")), "{name}");
                false
            }
        };
        if !closed {
            attacker.still_works().await;
        }
        let answer = soon(honest.echo(Bytes::from_static(b"honest"))).await;
        assert_eq!(answer.unwrap(), "honest", "after: {name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_frames() {
    let version = |version: u8| {
        let mut bytes = request(ID, "Echo");
        bytes[0] = version;
        bytes
    };
    let sized = |kind, codec, length| header(kind, codec, 0, length, ID);
    let over_head = u32::try_from(limits::MAX_HEAD_BYTES + 1).unwrap();
    let over_payload = u32::try_from(limits::MAX_PAYLOAD_BYTES + 1).unwrap();
    check(vec![
        case("the call itself", whole_call(ID), Want::Answer),
        case("version 0", version(0), Want::Closed("version 0")),
        case(
            "version 2",
            version(2),
            Want::Closed("version 2, but this side speaks version 1"),
        ),
        case(
            "version of another protocol",
            b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n".to_vec(),
            Want::Closed("version 71"),
        ),
        case(
            "type 0",
            sized(0, NONE, 0),
            Want::Closed("unknown frame type 0"),
        ),
        case(
            "type 8",
            sized(8, NONE, 0),
            Want::Closed("unknown frame type 8"),
        ),
        case("codec 3", sized(REQUEST, 3, 0), Want::Closed("codec 3")),
        case(
            "codec of none where one is needed",
            sized(REQUEST, NONE, 0),
            Want::Closed("codec 0"),
        ),
        case(
            "codec where none may be",
            sized(PING, PROTOBUF, 0),
            Want::Closed("codec 2"),
        ),
        case(
            "unknown flag",
            header(REQUEST, PROTOBUF, 2, 0, ID),
            Want::Closed("flags 0b00000010"),
        ),
        case(
            "one-way ping",
            header(PING, NONE, ONEWAY, 0, ID),
            Want::Closed("flags 0b00000001"),
        ),
        case(
            "request of 64 KiB and 1",
            sized(REQUEST, PROTOBUF, over_head),
            Want::Closed("payload of 65537 bytes, the limit is 65536"),
        ),
        case(
            "ping of 64 KiB and 1",
            sized(PING, NONE, over_head),
            Want::Closed("the limit is 65536"),
        ),
        case(
            "data of 10 MiB and 5",
            sized(DATA, PROTOBUF, over_payload),
            Want::Closed("the limit is 10485764"),
        ),
        case(
            "data of 4 GiB",
            sized(DATA, PROTOBUF, u32::MAX),
            Want::Closed("payload of 4294967295 bytes"),
        ),
        case(
            "response",
            frame(RESPONSE, PROTOBUF, ID, &[]),
            Want::Closed("unexpected first frame"),
        ),
        case(
            "error",
            frame(ERROR, NONE, ID, &[]),
            Want::Closed("unexpected first frame"),
        ),
        case(
            "data",
            data(ID, &[b"x"]),
            Want::Closed("unexpected StreamData frame"),
        ),
        case(
            "announced data",
            sized(DATA, PROTOBUF, 10 << 20),
            Want::Closed("unexpected StreamData frame"),
        ),
        case("end", end(ID), Want::Closed("unexpected first frame")),
        case(
            "pong",
            frame(PONG, NONE, ID, &[]),
            Want::Closed("unexpected first frame"),
        ),
        cut("nothing", Vec::new(), Want::Reset),
        cut(
            "a cut header",
            request(ID, "Echo")[..23].to_vec(),
            Want::Reset,
        ),
        cut(
            "a header alone",
            request(ID, "Echo")[..24].to_vec(),
            Want::Reset,
        ),
        cut(
            "a cut payload",
            request(ID, "Echo")[..30].to_vec(),
            Want::Reset,
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_and_hellos() {
    let request_with = |head: &[u8]| frame(REQUEST, PROTOBUF, ID, head);
    let entries = |count: usize, entry: &[u8]| {
        let mut bytes = head("Echo");
        (0..count).for_each(|_| bytes.extend_from_slice(entry));
        request_with(&bytes)
    };
    let mut longest = Metadata::new();
    longest
        .append_bin("k-bin", vec![0; limits::MAX_METADATA_BYTES])
        .unwrap();
    let services = |count: usize| {
        // More than an honest server's hello ever holds.
        written(|out| {
            hello().encode(out);
            for _ in 0..count {
                out.extend_from_slice(&[0x22, 21, 0x0a, 1, b's', 0x12, 16]);
                out.extend_from_slice(&Fingerprint([0; 16]).0);
            }
        })
    };
    let ping_with = |payload: &[u8]| frame(PING, NONE, HELLO_ID, payload);
    let other_version = written(|out| {
        Hello {
            version: 2,
            ..hello()
        }
        .encode(out)
    });
    check(vec![
        case(
            "id of zero",
            request(0, "Echo"),
            Want::Closed("request id is zero"),
        ),
        case(
            "head of noise",
            request_with(&[0xff; 40]),
            Want::Closed("malformed request head"),
        ),
        case(
            "no path",
            request_with(&[]),
            Want::Closed("malformed method path"),
        ),
        case(
            "path without a slash",
            request_with(&head_with("Echo", &Metadata::new())),
            Want::Closed("malformed method path"),
        ),
        case(
            "path that is no text",
            request_with(&[0x0a, 2, b'/', 0xff]),
            Want::Closed("malformed request head"),
        ),
        case(
            "path of 1 KiB and 1",
            request_with(&head_with(
                &format!("/{}", "x".repeat(1024)),
                &Metadata::new(),
            )),
            Want::Closed("payload of 1025 bytes, the limit is 1024"),
        ),
        case(
            "number of no service",
            request_with(&[0x28, 0x80, 0x80, 0x04]),
            Want::Closed("malformed method number"),
        ),
        case(
            "number of no method",
            request_with(&[0x28, 0xff, 0x01]),
            Want::Closed("malformed method number"),
        ),
        case(
            "number of 5 bytes and more",
            request_with(&[0x28, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
            Want::Closed("malformed method number"),
        ),
        case(
            "129 entries",
            entries(129, &[0x1a, 3, 0x0a, 1, b'k']),
            Want::Closed("the limit is 8192"),
        ),
        case(
            "10 000 empty entries",
            entries(10_000, &[0x1a, 0]),
            Want::Closed("malformed metadata"),
        ),
        case(
            "an entry of 8 KiB",
            request_with(&head_with(&path("Echo"), &longest)),
            Want::Closed("the limit is 8192"),
        ),
        case(
            "a key in capitals",
            entries(1, &[0x1a, 3, 0x0a, 1, b'K']),
            Want::Closed("malformed metadata"),
        ),
        case(
            "a value of control characters",
            entries(1, &[0x1a, 6, 0x0a, 1, b'k', 0x12, 1, 0]),
            Want::Closed("malformed metadata"),
        ),
        case(
            "unknown priority",
            request_with(&[head("Echo"), vec![0x20, 9]].concat()),
            Want::Closed("malformed priority"),
        ),
        case(
            "hello of noise",
            ping_with(&[0xff; 40]),
            Want::Closed("malformed hello"),
        ),
        case("empty hello", ping_with(&[]), Want::Closed("version 0")),
        case(
            "hello of version 2",
            ping_with(&other_version),
            Want::Closed("version 2"),
        ),
        case(
            "hello of unknown priority",
            ping_with(&[8, 1, 16, 9]),
            Want::Closed("malformed priority"),
        ),
        case(
            "hello with 513 services",
            ping_with(&services(513)),
            Want::Closed("the limit is 65536"),
        ),
        case(
            "hello with a service without a name",
            ping_with(&[8, 1, 0x22, 0]),
            Want::Closed("malformed service in a hello"),
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_stream_of_its_own() {
    let begun = |rest: Vec<u8>| [request(ID, "Echo"), rest].concat();
    let hi = bytes_message(b"hi");
    let counting = |rest: Vec<u8>| [request(ID, "Count"), data(ID, &[&hi]), rest].concat();
    let postcard_data = frame(DATA, POSTCARD, ID, &[1, 0]);
    let missing = written(|out| out.extend_from_slice(&[0xff, 0xff, 0xff, 0x7f]));
    let deep = tree_message(100_000);
    let one = |method: &str, codec: u8, message: &[u8]| {
        let mut data = data(ID, &[message]);
        data[2] = codec;
        [frame(REQUEST, codec, ID, &head(method)), data, end(ID)].concat()
    };
    let broke = Want::Status;
    check(vec![
        case(
            "unknown method",
            request(ID, "Nothing"),
            Want::Status(Code::Unimplemented, "Nothing"),
        ),
        case(
            "unknown service",
            frame(
                REQUEST,
                PROTOBUF,
                ID,
                &head_with("/a.B/C", &Metadata::new()),
            ),
            Want::Status(Code::Unimplemented, "a.B"),
        ),
        case(
            "path of one part",
            frame(REQUEST, PROTOBUF, ID, &head_with("/a", &Metadata::new())),
            Want::Status(Code::Unimplemented, "/a"),
        ),
        case(
            "a second request",
            begun(request(ID, "Echo")),
            broke(Code::Internal, "unexpected frame in a call's stream"),
        ),
        case(
            "a ping inside",
            begun(frame(PING, NONE, ID, &[])),
            broke(Code::Internal, "unexpected frame in a call's stream"),
        ),
        case(
            "an error inside",
            begun(frame(ERROR, NONE, ID, &[])),
            broke(Code::Internal, "unexpected frame in a call's stream"),
        ),
        case(
            "data in another codec",
            begun(postcard_data),
            broke(Code::Internal, "codec"),
        ),
        case(
            "version 2 inside",
            begun([&[2][..], &data(ID, &[&hi])[1..]].concat()),
            broke(Code::Internal, "version 2"),
        ),
        case(
            "data of 10 MiB and 5",
            begun(header(DATA, PROTOBUF, 0, (10 << 20) + 5, ID)),
            broke(Code::ResourceExhausted, "the limit is 10485764"),
        ),
        case(
            "a message longer than its frame",
            begun(frame(DATA, PROTOBUF, ID, &[5, 0])),
            broke(Code::Internal, "malformed message length"),
        ),
        case(
            "a message longer than the limit",
            begun(frame(DATA, PROTOBUF, ID, &missing)),
            broke(Code::ResourceExhausted, "the limit is 10485760"),
        ),
        case(
            "several messages of 64 KiB and a byte together",
            counting([data(ID, &vec![&[][..]; (64 << 10) + 1]), end(ID)].concat()),
            broke(Code::ResourceExhausted, "65537 bytes, the limit is 65536"),
        ),
        case(
            "small messages of 10 MiB together",
            counting([data(ID, &vec![&hi[..]; 2 << 20]), end(ID)].concat()),
            broke(
                Code::ResourceExhausted,
                "10485760 bytes, the limit is 65536",
            ),
        ),
        case(
            "an end of noise",
            begun([data(ID, &[&hi]), frame(END, NONE, ID, &[0xff; 9])].concat()),
            broke(Code::Internal, "malformed response head"),
        ),
        cut(
            "no end",
            begun(data(ID, &[&hi])),
            broke(Code::Cancelled, "without saying so"),
        ),
        cut(
            "no end of a stream",
            counting(Vec::new()),
            broke(Code::Cancelled, "without saying so"),
        ),
        cut(
            "a cut message",
            begun(data(ID, &[&hi])[..26].to_vec()),
            broke(Code::Cancelled, "without saying so"),
        ),
        case(
            "an item of noise",
            counting([data(ID, &[&[0xff; 3]]), end(ID)].concat()),
            broke(Code::Internal, "Count"),
        ),
        case(
            "a second request in a stream",
            counting(request(ID, "Count")),
            broke(Code::Internal, "unexpected frame"),
        ),
        case(
            "no message",
            begun(end(ID)),
            broke(Code::Unimplemented, "no message"),
        ),
        case(
            "two messages",
            begun([data(ID, &[&hi, &hi]), end(ID)].concat()),
            broke(Code::Unimplemented, "more than one message"),
        ),
        case(
            "noise for a message",
            one("Tree", PROTOBUF, &[0xff; 9]),
            broke(Code::Internal, "Tree"),
        ),
        case(
            "a message 100 000 deep",
            one("Tree", PROTOBUF, &deep),
            broke(Code::ResourceExhausted, "deep"),
        ),
        case(
            "a message 60 000 deep, postcard",
            one("Tree", POSTCARD, &[1; 60_000]),
            broke(Code::ResourceExhausted, "deep"),
        ),
        case(
            "four billion units in five bytes",
            one("Units", POSTCARD, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
            broke(Code::ResourceExhausted, "memory"),
        ),
        case(
            "postcard of another schema",
            one("Tree", POSTCARD, &[7; 20]),
            broke(Code::Internal, "Tree"),
        ),
        case("the same id as before", whole_call(ID), Want::Answer),
        case(
            "what follows the end",
            [whole_call(ID), whole_call(ID)].concat(),
            Want::Answer,
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_messages_as_a_frame_may_hold() {
    let server = serve(Seen::default().router()).await;
    let attacker = Attacker::dial(&server).await;
    let empty = data(ID, &vec![&[][..]; 64 << 10]);
    let call = [request(ID, "Count"), empty.clone(), empty, end(ID)].concat();
    let count = written(|out| Message::encode(&(128_u64 << 10), Codec::Protobuf, out).unwrap());
    assert_eq!(attacker.say(&call, false).await, Heard::Response(count));
    attacker.still_works().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_lane() {
    let lane = |rest: Vec<u8>| [ping(), rest].concat();
    let hi = bytes_message(b"hi");
    let echo = |id| lane_request(id, "Echo", &hi);
    let with_head = |head: &[u8]| lane(frame(REQUEST, PROTOBUF, ID, &call(head, &hi)));
    check(vec![
        case(
            "data",
            lane(data(ID, &[&hi])),
            Want::Closed("unexpected StreamData frame"),
        ),
        case(
            "response",
            lane(frame(RESPONSE, PROTOBUF, ID, &[])),
            Want::Closed("unexpected frame type"),
        ),
        case("end", lane(end(ID)), Want::Closed("unexpected frame type")),
        case(
            "pong",
            lane(frame(PONG, NONE, ID, &[])),
            Want::Closed("unexpected frame type"),
        ),
        case(
            "a second hello",
            lane(ping()),
            Want::Closed("unexpected frame type"),
        ),
        case(
            "version 2",
            lane([&[2][..], &echo(ID)[1..]].concat()),
            Want::Closed("version 2"),
        ),
        case(
            "id of zero",
            lane(echo(0)),
            Want::Closed("request id is zero or already in use"),
        ),
        case(
            "id in use",
            lane([lane_request(ID, "Park", &hi), echo(ID)].concat()),
            Want::Closed("already in use"),
        ),
        case(
            "id in use by the same method",
            lane([lane_request(ID, "Park", &hi), lane_request(ID, "Park", &hi)].concat()),
            Want::Closed("already in use"),
        ),
        case(
            "number of no service",
            with_head(&[0x28, 0x80, 0x80, 0x04]),
            Want::Closed("malformed method number"),
        ),
        case("method by its number", with_head(&[0x28, 0]), Want::Answer),
        case(
            "an id again, after its call",
            lane([echo(ID), echo(ID)].concat()),
            Want::Answer,
        ),
        case(
            "head longer than its frame",
            lane(frame(REQUEST, PROTOBUF, ID, &[5, 0])),
            Want::Closed("malformed head length"),
        ),
        case(
            "empty request",
            lane(frame(REQUEST, PROTOBUF, ID, &[])),
            Want::Closed("malformed head length"),
        ),
        case(
            "head of noise",
            with_head(&[0xff; 9]),
            Want::Closed("malformed request head"),
        ),
        case(
            "request of 64 KiB and 1",
            lane(header(REQUEST, PROTOBUF, 0, (64 << 10) + 1, ID)),
            Want::Closed("the limit is 65536"),
        ),
        cut(
            "a cut request",
            lane(echo(ID)[..30].to_vec()),
            Want::Closed("ended without an explicit end"),
        ),
        case(
            "unknown method",
            lane(lane_request(ID, "Nothing", &[])),
            Want::Status(Code::Unimplemented, "Nothing"),
        ),
        case(
            "noise for a message",
            lane(lane_request(ID, "Tree", &[0xff; 9])),
            Want::Status(Code::Internal, "Tree"),
        ),
        case(
            "a message 30 000 deep",
            lane(lane_request(ID, "Tree", &tree_message(15_000))),
            Want::Status(Code::ResourceExhausted, "deep"),
        ),
        case(
            "cancelling what is not there",
            lane([frame(ERROR, NONE, 77, &[]), echo(ID)].concat()),
            Want::Answer,
        ),
        case(
            "cancelling with noise",
            lane([frame(ERROR, NONE, 77, &[0xff; 99]), echo(ID)].concat()),
            Want::Answer,
        ),
        case(
            "10 000 pings",
            lane([frame(PING, NONE, 5, &[]).repeat(10_000), echo(ID)].concat()),
            Want::Answer,
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_one_way_stream_to_the_server() {
    let server = serve(Seen::default().router()).await;
    let honest = TargetClient::new(dial(&server).await);
    let attacker = Attacker::dial(&server).await;
    let mut send = soon(attacker.connection.open_uni()).await.unwrap();
    soon(send.write_all(&whole_call(ID))).await.unwrap();
    let (code, reason) = attacker.closed().await;
    assert_eq!(
        (code, reason.as_str()),
        (PROTOCOL, "unexpected one-way stream")
    );
    assert_eq!(
        soon(honest.echo(Bytes::from_static(b"hi"))).await.unwrap(),
        "hi"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_in_use_on_another_stream() {
    let server = serve(Seen::default().router()).await;
    let honest = TargetClient::new(dial(&server).await);
    let attacker = Attacker::dial(&server).await;
    let _parked = attacker.open(&request(ID, "Count")).await;
    // The two race to the server, and either may be the second.
    let _again = attacker.open(&request(ID, "Count")).await;
    let (code, reason) = attacker.closed().await;
    assert_eq!(code, PROTOCOL);
    assert!(reason.contains("already in use"), "{reason}");
    assert_eq!(
        soon(honest.echo(Bytes::from_static(b"hi"))).await.unwrap(),
        "hi"
    );
}
