//! Where a fuzzer begins to look at gRPC: good and bad bodies, blocks of headers and connections, made by hand.

use bytes::{BufMut, BytesMut};

use super::grpc::{PREFACE, put_frame};

/// The target, a name, the input.
pub(super) fn all() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (name, encoding, body) in bodies() {
        for cut in [0, 2, 5, 7, 13] {
            let input = [&[cut, encoding], &body[..]].concat();
            seeds.push(("grpc_messages", format!("{name}-{cut}"), input));
        }
    }
    for (name, pairs) in blocks() {
        let mut input = Vec::new();
        for (key, value) in pairs {
            for text in [key, value] {
                input.push(text.len() as u8);
                input.extend_from_slice(text);
            }
        }
        seeds.push(("grpc_headers", name.to_owned(), input));
    }
    for (name, frames) in connections() {
        let (mut as_frames, mut plain) = (vec![16 | 7], BytesMut::new());
        for (kind, flags, stream, payload) in frames {
            as_frames.extend([kind, flags, stream]);
            as_frames.put_u16(payload.len() as u16);
            as_frames.extend_from_slice(&payload);
            put_frame(kind, flags, stream, &payload, &mut plain);
        }
        seeds.push(("grpc_connection", format!("{name}-frames"), as_frames));
        for cut in [3, 7] {
            let input = [&[cut], &plain[..]].concat();
            seeds.push(("grpc_connection", format!("{name}-{cut}"), input));
        }
    }
    let again = [&[7], PREFACE].concat();
    seeds.push(("grpc_connection", "preface-again".to_owned(), again));
    seeds
}

fn message(flag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![flag];
    out.put_u32(bytes.len() as u32);
    out.extend_from_slice(bytes);
    out
}

/// A name, the number of an encoding, a body.
fn bodies() -> Vec<(&'static str, u8, Vec<u8>)> {
    let several = [
        message(0, b"a"),
        message(0, b""),
        message(0, &[7; 300]),
        message(0, b"b"),
    ]
    .concat();
    vec![
        ("cut-short", 0, several[..several.len() - 1].to_vec()),
        ("too-large", 0, [&several[..], &[0, 0, 0, 16, 1]].concat()),
        ("bad-flag", 0, [&several[..], &[2]].concat()),
        ("compressed", 0, message(1, b"a")),
        ("gzip", 1, [message(1, GZIP), message(0, b"a")].concat()),
        ("gzip-two", 1, message(1, &[GZIP, GZIP].concat())),
        ("gzip-cut", 1, message(1, &GZIP[..GZIP.len() - 1])),
        ("zstd", 2, [message(0, b"a"), message(1, ZSTD)].concat()),
        ("zstd-cut", 2, message(1, &ZSTD[..ZSTD.len() - 1])),
        ("several", 0, several),
    ]
}

/// "hello", compressed.
const GZIP: &[u8] = &[
    0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 7, 0, 0x86, 0xa6, 0x10, 0x36,
    5, 0, 0, 0,
];
const ZSTD: &[u8] = &[
    0x28, 0xb5, 0x2f, 0xfd, 0x20, 5, 0x29, 0, 0, b'h', b'e', b'l', b'l', b'o',
];

type Pairs = Vec<(&'static [u8], &'static [u8])>;

fn blocks() -> Vec<(&'static str, Pairs)> {
    vec![
        (
            "metadata",
            vec![
                (b"key", b"value"),
                (b"key", b" !~"),
                (b"key-bin", b"AAEC,AA==, /w"),
                (b"bad-bin", b"A"),
                (b"te", b"trailers"),
            ],
        ),
        (
            "status",
            vec![
                (b"grpc-status", b"5"),
                (b"grpc-message", b"no%20such %E2%82%AC %zz %"),
                (b"grpc-status-details-bin", b"CAUSAm5vGgkKA3gvWRICCAE"),
                (b"blixard-not-accepted", b"1"),
                (b"key-bin", b"AA"),
            ],
        ),
        (
            "ok",
            vec![
                (b"grpc-status", b"0"),
                (b"grpc-message", b"%41"),
                (b"k", b"v"),
            ],
        ),
        ("no-number", vec![(b"grpc-status", b"99x")]),
        (
            "timeouts",
            vec![
                (b"grpc-timeout", b"99999999H"),
                (b"grpc-timeout", b"0n"),
                (b"grpc-timeout", b"123456789S"),
                (b"grpc-timeout", b"1m"),
            ],
        ),
    ]
}

/// A type, flags, a stream, a payload.
type Frames = Vec<(u8, u8, u8, Vec<u8>)>;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn connections() -> Vec<(&'static str, Frames)> {
    let begin = || vec![(SETTINGS, 0, 0, vec![])];
    let call = |stream, path, more: &[(&str, &str)], messages: &[Vec<u8>]| {
        let messages = messages.concat();
        let mut frames = vec![(HEADERS, END_HEADERS, stream, block(path, more))];
        frames.push((DATA, END_STREAM, stream, messages));
        frames
    };
    let text = |text: &str| {
        let mut encoded = vec![0x0a, text.len() as u8];
        encoded.extend_from_slice(text.as_bytes());
        message(0, &encoded)
    };
    let with = |more: Vec<Frames>| [begin(), more.concat()].concat();
    vec![
        (
            "calls",
            with(vec![
                call(1, "/fuzz.v1.Fuzz/Put", &[], &[text("a")]),
                call(3, "/fuzz.v1.Fuzz/List", &[], &[message(0, &[8, 50])]),
                call(5, "/fuzz.v1.Fuzz/Gather", &[], &[text("a"), text("b")]),
                call(7, "/fuzz.v1.Fuzz/Chat", &[], &[text("a"), text("b")]),
                call(9, "/fuzz.v1.Fuzz/Note", &[], &[text("a")]),
            ]),
        ),
        (
            "headers",
            with(vec![
                call(
                    1,
                    "/fuzz.v1.Fuzz/Put",
                    &[("grpc-timeout", "1S"), ("k-bin", "AA"), ("k", "v")],
                    &[text("a")],
                ),
                call(3, "/fuzz.v1.Fuzz/Put", &[("grpc-timeout", "x")], &[]),
                call(5, "/fuzz.v1.Fuzz/Nothing", &[], &[text("a")]),
                call(
                    7,
                    "/fuzz.v1.Fuzz/Chat",
                    &[("grpc-encoding", "gzip"), ("grpc-accept-encoding", "zstd")],
                    &[message(1, GZIP)],
                ),
                call(9, "/fuzz.v1.Fuzz/Put", &[("grpc-encoding", "br")], &[]),
            ]),
        ),
        (
            "resets",
            with(vec![
                vec![
                    (HEADERS, END_HEADERS, 1, block("/fuzz.v1.Fuzz/Chat", &[])),
                    (DATA, 0, 1, text("a")),
                    (RST_STREAM, 0, 1, vec![0, 0, 0, 8]),
                    (HEADERS, END_HEADERS, 3, block("/fuzz.v1.Fuzz/Chat", &[])),
                    (RST_STREAM, 0, 3, vec![0, 0, 0, 0]),
                    (PING, 0, 0, vec![7; 8]),
                    (GOAWAY, 0, 0, vec![0; 8]),
                ],
                call(5, "/fuzz.v1.Fuzz/Put", &[], &[text("late")]),
            ]),
        ),
        (
            "windows",
            with(vec![vec![
                (SETTINGS, 0, 0, vec![0, 4, 0, 0, 0, 1]),
                (
                    HEADERS,
                    END_HEADERS | END_STREAM,
                    1,
                    block("/fuzz.v1.Fuzz/List", &[]),
                ),
                (HEADERS, END_HEADERS, 3, block("/fuzz.v1.Fuzz/List", &[])),
                (DATA, END_STREAM, 3, message(0, &[8, 100])),
                (WINDOW_UPDATE, 0, 3, vec![0, 0, 0, 9]),
                (WINDOW_UPDATE, 0, 0, vec![0x7f, 0xff, 0xff, 0xff]),
            ]]),
        ),
        (
            "continued",
            with(vec![vec![
                (
                    HEADERS,
                    0,
                    1,
                    block("/fuzz.v1.Fuzz/Put", &[])[..20].to_vec(),
                ),
                (
                    CONTINUATION,
                    END_HEADERS,
                    1,
                    block("/fuzz.v1.Fuzz/Put", &[])[20..].to_vec(),
                ),
                (DATA, 0, 1, text("a")[..3].to_vec()),
                (DATA, END_STREAM, 1, text("a")[3..].to_vec()),
            ]]),
        ),
    ]
}

/// The headers of a call, in HPACK, each as it is.
fn block(path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let own = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    let mut out = Vec::new();
    for (name, value) in own.iter().chain(more) {
        out.push(0);
        for text in [name, value] {
            out.push(text.len() as u8);
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}
