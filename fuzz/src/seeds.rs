//! Where a fuzzer begins to look: good and bad inputs of each target, made by hand.

use std::time::{Duration, SystemTime};

use blixard_rpc::{
    Message, Metadata, Priority, Status,
    codec::Codec,
    method::Fingerprint,
    status::Detail,
    wire::{
        FrameType, Header, Hello, MethodRef, RequestHead, RequestId, ResponseHead, StatusHead,
        put_call, put_length,
    },
};
use bytes::{Bytes, BytesMut};

use super::{
    grpc_seeds,
    types::{Choice, Color, Leaf, Lists, Nothing, Tree, Wide},
};

/// All seeds: the target, a name, the input.
#[must_use]
pub fn all() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut seeds = Vec::new();
    let mut add = |target, name: &str, bytes: Vec<u8>| seeds.push((target, name.to_owned(), bytes));
    add("head", "request", with(0, &request_head()));
    add("head", "numbered", with(0, &[0x28, 0xff, 0x03]));
    add("head", "response", with(1, &response_head()));
    add("head", "status", with(2, &status_head()));
    add("head", "status-ok", with(2, &[8, 0]));
    add("head", "many-details", with(2, &[0x22, 0].repeat(4000)));
    add(
        "head",
        "many-entries",
        with(0, &[0x1a, 3, 0x0a, 1, b'k'].repeat(200)),
    );
    add("hello", "client", hello(0).to_vec());
    add("hello", "server", hello(3).to_vec());
    add("hello", "many-services", hello(513).to_vec());
    for (name, stream) in streams() {
        for cut in [0, 2, 5, 7, 13] {
            add("frame", &format!("{name}-{cut}"), with(cut, &stream));
        }
    }
    for (codec, target) in [
        (Codec::Postcard, "message_postcard"),
        (Codec::Protobuf, "message_protobuf"),
    ] {
        add(target, "wide", with(0, &encoded(&wide(), codec)));
        add(target, "tree", with(1, &encoded(&tree(3), codec)));
        add(target, "deep", with(1, &encoded(&deep(90), codec)));
        add(target, "too-deep", with(1, &encoded(&deep(300), codec)));
        add(target, "choice", with(2, &encoded(&choice(), codec)));
        add(target, "lists", with(3, &encoded(&lists(), codec)));
    }
    // Five bytes for four billion units.
    add(
        "message_postcard",
        "units",
        vec![3, 0xff, 0xff, 0xff, 0xff, 0x0f],
    );
    add(
        "message_postcard",
        "units-after",
        vec![3, 0, 0xff, 0xff, 0xff, 0xff, 0x0f],
    );
    add(
        "message_protobuf",
        "empty-leaves",
        with(3, &[0x1a, 0].repeat(2000)),
    );
    seeds.extend(grpc_seeds::all());
    seeds
}

fn with(kind: u8, bytes: &[u8]) -> Vec<u8> {
    [&[kind], bytes].concat()
}

fn metadata() -> Metadata {
    let mut metadata = Metadata::new();
    metadata.append("key", "value").expect("a valid key");
    metadata
        .append_bin("key-bin", vec![0, 255])
        .expect("a valid key");
    metadata
}

fn request_head() -> BytesMut {
    let mut out = BytesMut::new();
    let timeout = Some(Duration::from_micros(1_234_567));
    RequestHead::encode(
        MethodRef::Path("/a.B/C"),
        timeout,
        Priority::High,
        &metadata(),
        &mut out,
    );
    out
}

fn response_head() -> BytesMut {
    let mut out = BytesMut::new();
    ResponseHead::encode(&metadata(), &metadata(), &mut out);
    out
}

fn status_head() -> BytesMut {
    let status = Status::not_found("no such thing")
        .with_metadata(metadata())
        .with_detail(Detail {
            type_url: "type.googleapis.com/x.Y".into(),
            value: Bytes::from_static(b"detail"),
        })
        .with_not_accepted();
    let mut out = BytesMut::new();
    StatusHead::encode(&status, &mut out);
    out
}

fn hello(services: usize) -> BytesMut {
    let mut out = BytesMut::new();
    Hello {
        version: 1,
        priority: Priority::Critical,
        max_calls: 1024,
        services: (0..services)
            .map(|n| (format!("s{n}"), Fingerprint([7; 16])))
            .collect(),
        draining: services == 3,
    }
    .encode(&mut out);
    out
}

fn frame(kind: FrameType, payload: &[u8]) -> Vec<u8> {
    use FrameType::{Request, Response, StreamData};
    let header = Header {
        kind,
        codec: matches!(kind, Request | Response | StreamData).then_some(Codec::Protobuf),
        oneway: false,
        payload_bytes: payload.len(),
        id: RequestId(*b"0123456789abcdef"),
    };
    [&header.encode()[..], payload].concat()
}

/// Streams of frames as they are, cut short, and announced too large.
fn streams() -> Vec<(&'static str, Vec<u8>)> {
    let mut call = BytesMut::new();
    put_call(
        &mut call,
        |out| out.extend_from_slice(&request_head()),
        b"message",
    );
    let mut batch = BytesMut::new();
    for message in [&b""[..], b"a", &[7; 300]] {
        put_length(message.len(), &mut batch);
        batch.extend_from_slice(message);
    }
    let lane = [
        frame(FrameType::Ping, &hello(0)),
        frame(FrameType::Request, &call),
        frame(FrameType::Error, &[]),
        frame(FrameType::Ping, &[]),
    ]
    .concat();
    let stream = [
        frame(FrameType::Response, &response_head()),
        frame(FrameType::StreamData, &batch),
        frame(FrameType::StreamData, &[]),
        frame(FrameType::StreamEnd, &response_head()),
    ]
    .concat();
    let mut announced = frame(FrameType::StreamData, b"little");
    announced[4..8].copy_from_slice(&(10_u32 << 20).to_be_bytes());
    let mut too_large = announced.clone();
    too_large[4] = 0x7f;
    let cut = stream[..stream.len() - 1].to_vec();
    vec![
        ("lane", lane),
        ("stream", stream),
        ("cut", cut),
        ("error", frame(FrameType::Error, &status_head())),
        ("announced", announced),
        ("too-large", too_large),
    ]
}

fn encoded<T: Message>(value: &T, codec: Codec) -> BytesMut {
    let mut out = BytesMut::new();
    value.encode(codec, &mut out).expect("it can be encoded");
    out
}

fn leaf() -> Leaf {
    Leaf {
        text: "hello".into(),
        at: 300,
    }
}

fn tree(depth: usize) -> Tree {
    if depth == 0 {
        return Tree::default();
    }
    Tree {
        value: depth as u64,
        next: Some(Box::new(tree(depth - 1))),
        children: vec![tree(depth - 1), Tree::default()],
        named: [("name".to_owned(), tree(depth - 1))].into(),
        choice: Some(Box::new(choice())),
    }
}

fn deep(depth: usize) -> Tree {
    (0..depth).fold(Tree::default(), |inner, _| Tree {
        next: Some(Box::new(inner)),
        ..Tree::default()
    })
}

fn choice() -> Choice {
    Choice::Inside(Box::new(Choice::Named {
        name: "name".into(),
        color: Color::Other(77),
    }))
}

fn wide() -> Wide {
    Wide {
        flag: true,
        small: 200,
        short: -300,
        number: -5,
        wide: Some(0),
        ratio: 0.5,
        exact: -1.5,
        text: "text".into(),
        bytes: vec![1, 2, 3],
        blob: Bytes::from_static(b"blob"),
        key: [1, 2, 3, 4],
        leaf: leaf(),
        maybe: Some(Leaf::default()),
        many: vec![Leaf::default(), leaf()],
        numbers: vec![1, -1, i64::MAX],
        ratios: vec![0.0, 1.0],
        flags: vec![true, false],
        words: vec![String::new(), "word".into()],
        blobs: vec![Bytes::from_static(b"b"), Bytes::new()],
        by_name: [("a".to_owned(), leaf())].into(),
        by_number: [(-1, "minus".to_owned())].into(),
        colors_by: [(3, Color::Blue)].into(),
        wait: Duration::from_millis(1500),
        waits: vec![Duration::ZERO, Duration::from_nanos(1)],
        at: SystemTime::UNIX_EPOCH - Duration::from_millis(1),
        later: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 33)),
        color: Color::Green,
        maybe_color: Some(Color::Red),
        colors: vec![Color::Red, Color::Other(77), Color::Blue],
        choice: choice(),
        tree: Some(Box::new(tree(1))),
        unit: (),
        text_of_prost: "prost".into(),
    }
}

fn lists() -> Lists {
    Lists {
        nothings: vec![Nothing; 3],
        units: vec![(); 5],
        leaves: vec![leaf(); 2],
        bits: vec![true, false, true],
        words: vec!["a".into(), String::new()],
        counts: [(1, 2)].into(),
        wide: vec![wide()],
    }
}
