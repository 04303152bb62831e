//! The server half of a call that has a stream pair of its own.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    body::{RecvBody, Side},
    halves::{Link, SendHalf, StreamCode},
    reader::FrameReader,
    serve::{Handling, Server, set_priority, too_many_trailers},
    writer::{CallWriter, WriteError},
};
use crate::{
    call::{Body, Response},
    dispatch::Dispatch,
    metadata::Metadata,
    method::MethodDescriptor,
    status::Status,
    wire::{self, FrameType, Header, RequestHead, ResponseHead, WireError},
};

pub(super) async fn serve<L: Link, D: Dispatch>(
    server: Arc<Server<L, D>>,
    mut send: L::Send,
    mut reader: FrameReader<L::Recv>,
    header: Header,
    head: Bytes,
) {
    let Some(codec) = header.codec else {
        return;
    };
    // Before the call counts itself.
    let refusal = server.refusal();
    let active = match RequestHead::decode(&head) {
        Ok(_) if header.id.0 == [0; 16] => Err(WireError::RequestId),
        Ok(head) => server.begin(header.id).map(|active| (active, head)),
        Err(error) => Err(error),
    };
    let (_active, head) = match active {
        Ok(active) => active,
        Err(error) => {
            send.reset(StreamCode::Protocol);
            return server.break_protocol(&error);
        }
    };
    set_priority(&mut send, head.priority);
    // Resolves when the client has lost interest, and at the end when it has everything.
    let stopped = send.stopped();
    tokio::pin!(stopped);
    let mut writer = CallWriter::new(send, header.id, codec, server.budget.clone());
    if let Some(status) = refusal {
        reader.stop(StreamCode::Done);
        write_status(&mut writer, &status).await;
        return stopped.await;
    }
    let mut request = match server.request(head, codec, Body::empty()) {
        Ok(request) => request,
        Err(error) => {
            writer.reset(StreamCode::Protocol);
            return server.break_protocol(&error);
        }
    };
    let single = request.method.descriptor().is_some_and(takes_one);
    request.body = Body::stream(RecvBody::new(reader, Side::Server, codec, single, ()));
    let call = Handling::new(&server.dispatch, request);
    if header.oneway {
        // The client reads nothing, which does not mean that it wants nothing done.
        let _ = call.await;
        return writer.finish();
    }
    let answer = async {
        match call.await {
            Ok(response) => write_response(&mut writer, response).await,
            Err(status) => write_status(&mut writer, &status).await,
        }
    };
    tokio::select! {
        () = answer => stopped.await,
        // The handler and its response are dropped here.
        () = &mut stopped => {}
    }
}

fn takes_one(method: &'static MethodDescriptor) -> bool {
    !method.shape.client_streams()
}

/// Writes a response and the explicit end of the call.
pub(super) async fn write_response<S: SendHalf>(writer: &mut CallWriter<S>, response: Response) {
    let Response { metadata, body } = response;
    let codec = writer.codec();
    writer.put(FrameType::Response, Some(codec), false, |out| {
        ResponseHead::encode(&metadata, &Metadata::new(), out);
    });
    if body.is_stream() && writer.flush().await.is_err() {
        return;
    }
    match writer.write_body(body).await {
        Ok(trailers) if wire::metadata_fits(&trailers) => writer.put_end(&trailers),
        Ok(_) => writer.put_status(&too_many_trailers()),
        Err(WriteError::Status(status)) => writer.put_status(&status),
        // The client has gone; the guard resets the stream.
        Err(WriteError::Broken(_)) => return,
    }
    if writer.flush().await.is_ok() {
        writer.finish();
    }
}

async fn write_status<S: SendHalf>(writer: &mut CallWriter<S>, status: &Status) {
    writer.put_status(status);
    if writer.flush().await.is_ok() {
        writer.finish();
    }
}
