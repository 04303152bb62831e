//! Frames by hand, right and wrong, and what comes back.

use std::time::Duration;

use blixard_rpc::{
    Code, Metadata, Priority, Status,
    link::CloseCode,
    transport::iroh::{ALPN, Endpoint, ServerHandle},
    wire::{
        FrameType, Header, Hello, MethodRef, RequestHead, ResponseHead, StatusHead, put_call,
        put_length, split_call,
    },
};
use blixard_tests::net::{endpoint, soon};
use bytes::{Bytes, BytesMut};
use iroh::endpoint::{
    Connection, ConnectionError, ReadError, ReadExactError, RecvStream, SendStream,
};

pub(crate) const REQUEST: u8 = 1;
pub(crate) const RESPONSE: u8 = 2;
pub(crate) const ERROR: u8 = 3;
pub(crate) const DATA: u8 = 4;
pub(crate) const END: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const PONG: u8 = 7;

pub(crate) const NONE: u8 = 0;
pub(crate) const POSTCARD: u8 = 1;
pub(crate) const PROTOBUF: u8 = 2;

pub(crate) const ONEWAY: u8 = 1;

/// The id of the Ping that opens a lane.
pub(crate) const HELLO_ID: u128 = u128::from_be_bytes(*b"hello\0\x80\0\x80\0\0\0\0\0\0\0");

/// A header of any bytes.
pub(crate) fn header(kind: u8, codec: u8, flags: u8, length: u32, id: u128) -> Vec<u8> {
    let mut out = vec![1, kind, codec, flags];
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&id.to_be_bytes());
    out
}

/// A frame whose header has the length of its payload.
pub(crate) fn frame(kind: u8, codec: u8, id: u128, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap();
    [header(kind, codec, 0, length, id), payload.to_vec()].concat()
}

pub(crate) fn hello() -> Hello {
    Hello {
        version: 1,
        max_calls: 1024,
        ..Hello::default()
    }
}

pub(crate) fn written(write: impl FnOnce(&mut BytesMut)) -> Vec<u8> {
    let mut out = BytesMut::new();
    write(&mut out);
    out.to_vec()
}

/// The Ping that opens a lane.
pub(crate) fn ping() -> Vec<u8> {
    frame(PING, NONE, HELLO_ID, &written(|out| hello().encode(out)))
}

/// A method's path.
pub(crate) fn path(method: &str) -> String {
    format!("/hostile.v1.Target/{method}")
}

pub(crate) fn head(method: &str) -> Vec<u8> {
    head_with(&path(method), &Metadata::new())
}

pub(crate) fn head_with(path: &str, metadata: &Metadata) -> Vec<u8> {
    written(|out| RequestHead::encode(MethodRef::Path(path), None, Priority::Normal, metadata, out))
}

/// A Request on a stream of its own.
pub(crate) fn request(id: u128, method: &str) -> Vec<u8> {
    frame(REQUEST, PROTOBUF, id, &head(method))
}

/// Head and message behind one another, as on a lane.
pub(crate) fn call(head: &[u8], message: &[u8]) -> Vec<u8> {
    written(|out| put_call(out, |out| out.extend_from_slice(head), message))
}

/// A Request on a lane.
pub(crate) fn lane_request(id: u128, method: &str, message: &[u8]) -> Vec<u8> {
    frame(REQUEST, PROTOBUF, id, &call(&head(method), message))
}

/// A Response on a lane.
pub(crate) fn lane_response(id: u128, message: &[u8]) -> Vec<u8> {
    frame(RESPONSE, PROTOBUF, id, &call(&[], message))
}

/// A StreamData of these messages.
pub(crate) fn data(id: u128, messages: &[&[u8]]) -> Vec<u8> {
    let payload = written(|out| {
        for message in messages {
            put_length(message.len(), out);
            out.extend_from_slice(message);
        }
    });
    frame(DATA, PROTOBUF, id, &payload)
}

pub(crate) fn end(id: u128) -> Vec<u8> {
    frame(END, NONE, id, &[])
}

/// A whole call of `echo` on a stream of its own.
pub(crate) fn whole_call(id: u128) -> Vec<u8> {
    [
        request(id, "Echo"),
        data(id, &[&bytes_message(b"hi")]),
        end(id),
    ]
    .concat()
}

/// `Bytes` as a protobuf message: the field 1 of its wrapper.
pub(crate) fn bytes_message(bytes: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    blixard_rpc::Message::encode(
        &Bytes::copy_from_slice(bytes),
        blixard_rpc::codec::Codec::Protobuf,
        &mut out,
    )
    .unwrap();
    out.to_vec()
}

/// A Tree that lies so many levels deep, in protobuf.
pub(crate) fn tree_message(depth: usize) -> Vec<u8> {
    (0..depth).fold(Vec::new(), |inner, _| {
        written(|out| {
            out.extend_from_slice(&[0x0a]);
            put_length(inner.len(), out);
            out.extend_from_slice(&inner);
        })
    })
}

/// A connection without any manners, and the endpoint that it needs.
pub(crate) struct Attacker {
    pub(crate) connection: Connection,
    _endpoint: Endpoint,
}

impl Attacker {
    pub(crate) async fn dial(server: &ServerHandle) -> Self {
        let endpoint = endpoint().await;
        let connection = soon(endpoint.connect(server.endpoint().addr(), ALPN)).await;
        Self {
            connection: connection.unwrap(),
            _endpoint: endpoint,
        }
    }

    /// Opens a stream pair and writes.
    pub(crate) async fn open(&self, bytes: &[u8]) -> (SendStream, RecvStream) {
        let (mut send, recv) = soon(self.connection.open_bi()).await.unwrap();
        // A server that has seen enough may stop it half-way.
        let _ = soon(send.write_all(bytes)).await;
        (send, recv)
    }

    /// Opens a stream pair, writes, and listens to what comes of it.
    pub(crate) async fn say(&self, bytes: &[u8], finish: bool) -> Heard {
        let (mut send, mut recv) = self.open(bytes).await;
        if finish {
            let _ = send.finish();
        }
        soon(listen(&mut recv)).await
    }

    /// Whether an honest call on this connection works.
    pub(crate) async fn still_works(&self) {
        let id = u128::from_be_bytes(*b"an-honest-caller");
        let bytes = [ping(), lane_request(id, "Echo", &bytes_message(b"hi"))].concat();
        let heard = self.say(&bytes, false).await;
        assert_eq!(heard, Heard::Response(bytes_message(b"hi")));
    }

    /// With which code and reason the server closes the connection.
    pub(crate) async fn closed(&self) -> (u64, String) {
        match soon(self.connection.closed()).await {
            ConnectionError::ApplicationClosed(close) => (
                close.error_code.into_inner(),
                String::from_utf8_lossy(&close.reason).into_owned(),
            ),
            other => panic!("closed by no application: {other}"),
        }
    }
}

/// What came of a stream, Pongs apart.
#[derive(Debug, PartialEq)]
pub(crate) enum Heard {
    /// The message of a Response on a lane, or the first of a stream.
    Response(Vec<u8>),
    Status(Code, String),
    Reset(u64),
    /// The end of the stream, without any of these.
    Finished,
    Lost,
}

/// Reads up to what ends a call.
pub(crate) async fn listen(recv: &mut RecvStream) -> Heard {
    loop {
        let (header, payload) = match read_frame(recv).await {
            Ok(Some(frame)) => frame,
            Ok(None) => return Heard::Finished,
            Err(ReadError::Reset(code)) => return Heard::Reset(code.into_inner()),
            Err(_) => return Heard::Lost,
        };
        match header.kind {
            FrameType::Response if payload.is_empty() => {}
            FrameType::Response => {
                return Heard::Response(split_call(&payload).unwrap().1.to_vec());
            }
            FrameType::StreamData => {
                let message = blixard_rpc::wire::take_message(&mut &payload[..]).unwrap();
                return Heard::Response(message.unwrap().to_vec());
            }
            FrameType::Error => {
                let status: Status = StatusHead::decode(&payload).unwrap();
                return Heard::Status(status.code(), status.message().to_owned());
            }
            FrameType::StreamEnd => {
                ResponseHead::decode(&payload).unwrap();
            }
            _ => {}
        }
    }
}

/// The next frame; `None` where the stream ends.
pub(crate) async fn read_frame(
    recv: &mut RecvStream,
) -> Result<Option<(Header, Vec<u8>)>, ReadError> {
    let mut bytes = [0; 24];
    match recv.read_exact(&mut bytes).await {
        Ok(()) => {}
        Err(ReadExactError::FinishedEarly(_)) => return Ok(None),
        Err(ReadExactError::ReadError(error)) => return Err(error),
    }
    let header = Header::decode(&bytes).expect("this side of the connection is honest");
    let mut payload = vec![0; header.payload_bytes];
    match recv.read_exact(&mut payload).await {
        Ok(()) => Ok(Some((header, payload))),
        Err(ReadExactError::FinishedEarly(_)) => Ok(None),
        Err(ReadExactError::ReadError(error)) => Err(error),
    }
}

/// The code of a connection that is closed because of what was sent.
pub(crate) const PROTOCOL: u64 = CloseCode::Protocol as u64;

/// The memory of this process, in bytes.
pub(crate) fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<usize>().unwrap() << 10
}

/// Waits until something holds.
#[track_caller]
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        for _ in 0..2000 {
            if holds() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{what}: not within ten seconds at {caller}");
    }
}
