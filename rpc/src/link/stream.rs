//! The client half of a call that has a stream pair of its own: streams of messages, and large ones.

use tokio::task::AbortHandle;

use bytes::Bytes;

use super::{
    body::{RecvBody, Side, wire_status},
    client::{
        Connection, OwnedPermit, check_size, client_broken_status, client_read_status, put_head,
        stream_priority,
    },
    halves::{Link, SendHalf, StreamCode},
    reader::FrameReader,
    writer::{CallWriter, WriteError},
};
use crate::{
    call::{Body, Codec, Request, Response, unless_recalled},
    status::{Result, Status},
    wire::{FrameType, ResponseHead, StatusHead, WireError},
};

/// Carries a call on a stream pair that is opened for it.
pub(super) async fn call<L: Link>(
    connection: Connection<L>,
    request: Request,
    permit: Option<OwnedPermit<L>>,
) -> Result<Response> {
    let shared = connection.shared();
    let opened = async {
        let opened = shared.link.open_bi().await;
        opened.map_err(|broken| client_broken_status(shared, &broken).with_not_accepted())
    };
    let (mut send, recv) = unless_recalled(request.recall.as_ref(), opened).await?;
    send.set_priority(stream_priority(request.priority));
    let mut writer = CallWriter::new(
        send,
        shared.calls.stream_id(),
        request.codec,
        shared.budget.clone(),
    );
    let oneway = request.is_oneway();
    writer.put(FrameType::Request, Some(request.codec), oneway, |out| {
        put_head(shared, &request, out);
    });
    let mut reader = FrameReader::new(recv, shared.budget.clone());
    if oneway {
        write_request(&mut writer, request.body)
            .await
            .map_err(|error| write_status(&connection, error))?;
        return Ok(Response::new(Body::empty()));
    }
    let (codec, pump) = (request.codec, Pump::start(writer, request.body));
    let head = match reader.frame().await {
        Ok(Some((header, head))) => match header.kind {
            FrameType::Response if header.codec == Some(codec) => head,
            FrameType::Error => {
                let wire = |error| wire_status(Side::Client, &error);
                return Err(StatusHead::decode(&head).unwrap_or_else(wire));
            }
            _ => {
                reader.stop(StreamCode::Protocol);
                let error = WireError::Unexpected("first frame of an answer");
                return Err(wire_status(Side::Client, &error));
            }
        },
        Ok(None) => return Err(wire_status(Side::Client, &WireError::Truncated)),
        Err(error) => return Err(client_read_status(shared, &error)),
    };
    response(connection.clone(), reader, &head, codec, (permit, pump))
}

/// The response whose head was read and whose messages follow on `reader`.
pub(super) fn response<L: Link>(
    connection: Connection<L>,
    reader: FrameReader<L::Recv>,
    head: &Bytes,
    codec: Codec,
    keep: impl Send + 'static,
) -> Result<Response> {
    let head = ResponseHead::decode(head).map_err(|error| wire_status(Side::Client, &error))?;
    Ok(Response {
        metadata: head.metadata,
        body: Body::stream(RecvBody::new(
            reader,
            Side::Client,
            codec,
            false,
            (connection, keep),
        )),
    })
}

/// Writes a call's messages from a task of its own, so that they flow while nobody reads the answer. Dropped, it stops.
struct Pump(AbortHandle);

impl Pump {
    fn start<S: SendHalf>(mut writer: CallWriter<S>, body: Body) -> Self {
        let task = tokio::spawn(async move {
            let everything = writer.stopped();
            match write_request(&mut writer, body).await {
                Ok(()) => everything.await,
                // The answer says why the server wants no more.
                Err(WriteError::Broken(_)) => writer.reset(StreamCode::Done),
                // A request stream cannot carry an error: the call is cancelled, and its caller knows why.
                Err(WriteError::Status(_)) => writer.reset(StreamCode::Cancelled),
            }
        });
        Self(task.abort_handle())
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn write_request<S: SendHalf>(
    writer: &mut CallWriter<S>,
    body: Body,
) -> Result<(), WriteError> {
    if let Some(message) = body.as_one() {
        check_size(message).map_err(WriteError::Status)?;
    } else {
        // The server learns of the call before its first message is there.
        writer.flush().await?;
    }
    writer.write_body(body).await?;
    writer.put_end(&crate::metadata::Metadata::new());
    writer.flush().await?;
    writer.finish();
    Ok(())
}

fn write_status<L: Link>(connection: &Connection<L>, error: WriteError) -> Status {
    match error {
        WriteError::Broken(broken) => client_broken_status(connection.shared(), &broken),
        WriteError::Status(status) => status,
    }
}
