//! HTTP/2 frame by frame, for what no library sends.

use blixard_rpc::transport::grpc::GrpcHandle;
use blixard_tests::net::soon;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The types of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind(pub(crate) u8);

impl Kind {
    pub(crate) const DATA: Self = Self(0);
    pub(crate) const HEADERS: Self = Self(1);
    pub(crate) const PRIORITY: Self = Self(2);
    pub(crate) const RST_STREAM: Self = Self(3);
    pub(crate) const SETTINGS: Self = Self(4);
    pub(crate) const PUSH_PROMISE: Self = Self(5);
    pub(crate) const PING: Self = Self(6);
    pub(crate) const GO_AWAY: Self = Self(7);
    pub(crate) const WINDOW_UPDATE: Self = Self(8);
    pub(crate) const CONTINUATION: Self = Self(9);
}

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Bytes,
}

impl Frame {
    pub(crate) fn ends_stream(&self) -> bool {
        matches!(self.kind, Kind::DATA | Kind::HEADERS) && self.flags & END_STREAM != 0
    }

    /// The code of a GOAWAY or RST_STREAM.
    pub(crate) fn error_code(&self) -> Option<u32> {
        let at = match self.kind {
            Kind::GO_AWAY => 4,
            Kind::RST_STREAM => 0,
            _ => return None,
        };
        let code = self.payload.get(at..at + 4)?;
        Some(u32::from_be_bytes(code.try_into().ok()?))
    }
}

pub(crate) fn frame(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_uint(payload.len() as u64, 3);
    out.put_u8(kind.0);
    out.put_u8(flags);
    out.put_u32(stream);
    out.put_slice(payload);
    out.freeze()
}

/// Headers as HPACK has them, none of them indexed or compressed.
pub(crate) fn block(headers: &[(&str, &str)]) -> Bytes {
    let mut out = BytesMut::new();
    for (name, value) in headers {
        out.put_u8(0);
        for text in [name, value] {
            put_length(&mut out, text.len());
            out.put_slice(text.as_bytes());
        }
    }
    out.freeze()
}

fn put_length(out: &mut BytesMut, mut len: usize) {
    if len < 127 {
        return out.put_u8(len as u8);
    }
    out.put_u8(127);
    len -= 127;
    while len >= 128 {
        out.put_u8(len as u8 | 128);
        len >>= 7;
    }
    out.put_u8(len as u8);
}

pub(crate) fn call_headers(method: &str) -> Vec<(String, String)> {
    [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", &format!("/raw.v1.Target/{method}")),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// The HEADERS frame of a call, on this stream.
pub(crate) fn call(stream: u32, method: &str) -> Bytes {
    let headers = call_headers(method);
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    frame(Kind::HEADERS, END_HEADERS, stream, &block(&headers))
}

pub(crate) fn data(stream: u32, payload: &[u8], ends: bool) -> Bytes {
    frame(Kind::DATA, u8::from(ends) * END_STREAM, stream, payload)
}

/// A connection, by hand.
pub(crate) struct Raw {
    stream: TcpStream,
    input: BytesMut,
}

impl Raw {
    /// A connection with both sides' settings exchanged.
    pub(crate) async fn connect(server: &GrpcHandle) -> Self {
        let mut this = Self::silent(server).await;
        this.send(PREFACE).await;
        this.send(&frame(Kind::SETTINGS, 0, 0, &[])).await;
        this.wait_for(|frame| frame.kind == Kind::SETTINGS && frame.flags == 1)
            .await;
        this.send(&frame(Kind::SETTINGS, 1, 0, &[])).await;
        this
    }

    /// A connection on which nothing was said.
    pub(crate) async fn silent(server: &GrpcHandle) -> Self {
        let stream = TcpStream::connect(server.local_addr().unwrap())
            .await
            .unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            input: BytesMut::new(),
        }
    }

    /// Sends bytes; what comes after the server has closed the connection is lost, and that is no matter.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _ = soon(self.stream.write_all(bytes)).await;
    }

    /// The next frame; `None` when the server has closed the connection.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        loop {
            if self.input.len() >= 9 {
                let len = (&self.input[..3]).get_uint(3) as usize;
                if self.input.len() >= 9 + len {
                    let mut frame = self.input.split_to(9 + len).freeze();
                    frame.advance(3);
                    return Some(Frame {
                        kind: Kind(frame.get_u8()),
                        flags: frame.get_u8(),
                        stream: frame.get_u32(),
                        payload: frame,
                    });
                }
            }
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The next frame that is so.
    ///
    /// # Panics
    /// If the connection is closed before.
    pub(crate) async fn wait_for(&mut self, wanted: impl Fn(&Frame) -> bool) -> Frame {
        self.find(wanted).await.expect("the connection is open")
    }

    /// The next frame that is so; `None` if the connection is closed before.
    pub(crate) async fn find(&mut self, wanted: impl Fn(&Frame) -> bool) -> Option<Frame> {
        soon(async {
            loop {
                let frame = self.frame().await?;
                if wanted(&frame) {
                    return Some(frame);
                }
            }
        })
        .await
    }

    /// How the server ended the connection: the code of its last GOAWAY, if it said one.
    pub(crate) async fn closed(&mut self) -> Option<u32> {
        soon(async {
            let mut code = None;
            while let Some(frame) = self.frame().await {
                if frame.kind == Kind::GO_AWAY {
                    code = frame.error_code();
                }
            }
            code
        })
        .await
    }
}
