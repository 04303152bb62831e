//! Every frame of one call: sent by hand to a real server, read back, and taken apart.
//!
//! `cargo run --example protocol`

use std::error::Error;

use blixard_examples::serve_and_connect;
use blixard_rpc::{
    Message, Metadata, Priority, Result, Router,
    codec::Codec,
    iroh_service,
    transport::iroh::{ALPN, SecretKey, bind, presets},
    wire::{
        FrameType, Header, Hello, MethodRef, RequestHead, RequestId, ResponseHead, VERSION,
        limits::HEADER_BYTES, put_call, split_call,
    },
};

/// Greets.
#[iroh_service(package = "protocol.v1")]
pub trait Greeter {
    /// Greets one person.
    async fn greet(&self, name: String) -> Result<String>;
}

struct MyGreeter;

impl Greeter for MyGreeter {
    async fn greet(&self, name: String) -> Result<String> {
        Ok(format!("Hello, {name}!"))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let router = Router::new().add(GreeterServer::new(MyGreeter));
    let (_channel, server) = serve_and_connect(router).await?;

    // What `GreeterClient` and the channel below it do for you.
    let endpoint = bind(presets::Minimal, SecretKey::generate()).await?;
    let connection = endpoint.connect(server.endpoint().addr(), ALPN).await?;
    let (mut send, mut recv) = connection.open_bi().await?;
    println!("a lane for calls of normal priority: a stream pair that begins with a hello\n");

    let mut hello = Default::default();
    let priority = Priority::Normal;
    Hello {
        version: VERSION.into(),
        priority,
        ..Hello::default()
    }
    .encode(&mut hello);
    let mut message = Default::default();
    "Ada".to_owned().encode(Codec::Protobuf, &mut message)?;
    let mut request = Default::default();
    let head = |out: &mut _| {
        let path = GreeterService::descriptor().methods[0].path;
        RequestHead::encode(MethodRef::Path(path), None, priority, &Metadata::new(), out);
    };
    put_call(&mut request, head, &message);

    let frames = [
        (FrameType::Ping, None, hello),
        (FrameType::Request, Some(Codec::Protobuf), request),
    ];
    for (number, (kind, codec, payload)) in (1..).zip(frames) {
        let id = RequestId([number; 16]);
        let header = Header {
            kind,
            codec,
            oneway: false,
            payload_bytes: payload.len(),
            id,
        };
        show("->", &header.encode(), &payload)?;
        send.write_all(&header.encode()).await?;
        send.write_all(&payload).await?;
    }
    for _ in 0..2 {
        let mut header = [0; HEADER_BYTES];
        recv.read_exact(&mut header).await?;
        let mut payload = vec![0; Header::decode(&header)?.payload_bytes];
        recv.read_exact(&mut payload).await?;
        show("<-", &header, &payload)?;
    }
    connection.close(0_u32.into(), b"done");
    endpoint.close().await;
    Ok(())
}

/// Prints a frame, as bytes and as what they mean.
fn show(arrow: &str, bytes: &[u8; HEADER_BYTES], payload: &[u8]) -> Result<(), Box<dyn Error>> {
    let header = Header::decode(bytes)?;
    println!("{arrow} {:?}", header.kind);
    println!("   {:02x?}  version, type, codec, flags", &bytes[..4]);
    println!("   {:02x?}  payload: {} bytes", &bytes[4..8], payload.len());
    println!("   {:02x?}  id, its first four bytes", &bytes[8..12]);
    if matches!(header.kind, FrameType::Ping | FrameType::Pong) {
        println!("   {:?}\n", Hello::decode(payload)?);
        return Ok(());
    }
    let (head, message) = split_call(payload)?;
    match header.kind {
        FrameType::Request => println!("   {:?}", RequestHead::decode(head)?),
        _ => println!("   {:?}", ResponseHead::decode(head)?),
    }
    let text = String::decode(Codec::Protobuf, message.to_vec().into())?;
    println!("   {message:02x?}  the message: {text:?}\n");
    Ok(())
}
