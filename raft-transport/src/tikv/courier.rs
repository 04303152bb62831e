//! [`Courier`]: what the engine sends, by class; what comes, checked, for the engine.

use std::{fmt, io::Cursor, sync::Arc};

use crate::{
    Class, Engine, Event, MemberId, OutgoingSnapshot, Peer, RaftMessage, ReceivedSnapshot,
    Standing, Transport,
};
use blixard_rpc::{Result, Status};
use raft::{
    SnapshotStatus,
    eraftpb::{Message, MessageType},
};

use super::{
    input::{Arrivals, Inputs, Told},
    wire::{decode, encode},
};

/// Carries the engine's messages: [`send`](Self::send) what it wants sent, and serve it by
/// [`Transport::server`](crate::Transport::server).
pub struct Courier {
    transport: Transport,
    arrivals: Arrivals,
    told: Arc<Told>,
}

impl Courier {
    /// One without anything to do yet, and what it has for the engine.
    #[must_use]
    pub fn new(transport: Transport) -> (Arc<Self>, Inputs) {
        let (arrivals, told, inputs) = Inputs::new();
        let courier = Self {
            transport,
            arrivals,
            told,
        };
        (Arc::new(courier), inputs)
    }

    /// Sends messages: those of [`Ready`](raft::Ready) at once, and those that it calls persisted when they are. It does not wait. What
    /// could not be sent, the engine is told of by [`Inputs`].
    ///
    /// It is called on a runtime of tokio, on which snapshots are uploaded.
    pub fn send(&self, messages: impl IntoIterator<Item = Message>) {
        for message in messages {
            let to = message.to;
            let Some(peer) = self.transport.peer(to) else {
                self.lost(to, message.get_msg_type());
                continue;
            };
            if message.get_msg_type() == MessageType::MsgSnapshot {
                self.upload(peer, message);
            } else {
                self.send_one(&peer, message);
            }
        }
    }

    fn send_one(&self, peer: &Peer, message: Message) {
        let (kind, term) = (message.get_msg_type(), message.term);
        let class = class(kind);
        // Answers and what asks for reads are told apart: a newer one must not take their place.
        let replaces = matches!(
            kind,
            MessageType::MsgHeartbeat | MessageType::MsgHeartbeatResponse
        ) && message.get_context().is_empty();
        let sent = encode(message).map_err(Into::into).and_then(|payload| {
            let message = RaftMessage::new(term, payload);
            if replaces {
                peer.send_heartbeat(kind as u64, message)
            } else {
                peer.send(class, message)
            }
        });
        if let Err(error) = sent {
            tracing::debug!(peer = peer.id(), ?kind, %error, "a message was not sent");
            self.lost(peer.id(), kind);
        }
    }

    fn upload(&self, peer: Peer, mut message: Message) {
        let data = message.mut_snapshot().take_data();
        let (term, metadata) = (message.term, message.get_snapshot().get_metadata());
        let snapshot = encode(message.clone()).map(|payload| OutgoingSnapshot {
            // The state at an index is the same whoever sends it; the bytes need not be.
            id: format!(
                "{}-{}-{}",
                metadata.term,
                metadata.index,
                blake3::hash(&data)
            ),
            term,
            payload,
            total_bytes: data.len() as u64,
            source: Cursor::new(data),
        });
        let told = Arc::clone(&self.told);
        tokio::spawn(async move {
            let sent = match snapshot {
                Ok(snapshot) => peer.snapshot(snapshot).await.map(drop),
                Err(status) => Err(status.into()),
            };
            let status = match sent {
                Ok(()) => SnapshotStatus::Finish,
                Err(error) => {
                    tracing::debug!(peer = peer.id(), %error, "a snapshot was not sent");
                    SnapshotStatus::Failure
                }
            };
            told.snapshot(peer.id(), status);
        });
    }

    /// The engine is to know: an engine that sends ahead of answers would wait for ones that never come.
    fn lost(&self, to: MemberId, kind: MessageType) {
        if kind == MessageType::MsgSnapshot {
            self.told.snapshot(to, SnapshotStatus::Failure);
        } else {
            self.told.unreachable(to);
        }
    }

    /// # Errors
    /// It is no message, or one that somebody else is to have sent or to get; or the engine is gone.
    async fn arrive(&self, from: MemberId, message: Message) -> Result<()> {
        if message.from != from || message.to != self.transport.id() {
            tracing::warn!(
                from,
                says = message.from,
                to = message.to,
                "a member speaks for another; it is not listened to"
            );
            return Err(Status::permission_denied(format!(
                "member {from} sends a message from {} to {}",
                message.from, message.to
            )));
        }
        let arrivals = self.arrivals.of(class(message.get_msg_type()));
        let sent = arrivals.send(message).await;
        sent.map_err(|_| Status::unavailable("the engine has stopped"))
    }
}

impl Engine for Courier {
    async fn deliver(&self, from: MemberId, _: Class, messages: Vec<RaftMessage>) -> Result<()> {
        for message in messages {
            self.arrive(from, decode(message.payload)?).await?;
        }
        Ok(())
    }

    /// It is answered when the engine has it: whether it is installed, the engine says by its own answer.
    async fn snapshot(&self, from: MemberId, received: ReceivedSnapshot) -> Result<RaftMessage> {
        let mut message = decode(received.payload().clone())?;
        if message.get_msg_type() != MessageType::MsgSnapshot {
            return Err(Status::invalid_argument(
                "a snapshot belongs to a message of one",
            ));
        }
        let data = tokio::fs::read(received.path()).await.map_err(|error| {
            Status::internal(format!("the snapshot that came cannot be read: {error}"))
        })?;
        message.mut_snapshot().set_data(data.into());
        self.arrive(from, message).await?;
        Ok(RaftMessage::default())
    }

    fn event(&self, event: Event) {
        match event {
            Event::Dropped { peer, .. }
            | Event::Standing {
                peer,
                standing: Standing::Down,
                ..
            } => self.told.unreachable(peer),
            Event::Standing { .. } => {}
        }
    }
}

impl fmt::Debug for Courier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Courier")
            .field("me", &self.transport.id())
            .finish_non_exhaustive()
    }
}

/// What a message is for.
const fn class(kind: MessageType) -> Class {
    match kind {
        MessageType::MsgRequestVote
        | MessageType::MsgRequestVoteResponse
        | MessageType::MsgRequestPreVote
        | MessageType::MsgRequestPreVoteResponse
        | MessageType::MsgTransferLeader
        | MessageType::MsgTimeoutNow => Class::Election,
        MessageType::MsgHeartbeat | MessageType::MsgHeartbeatResponse => Class::Heartbeat,
        _ => Class::LogAppend,
    }
}

#[cfg(test)]
mod tests {
    use blixard_rpc::Code;

    use super::*;
    use crate::{Network, TransportConfig, tikv::Input};

    fn message(kind: MessageType, from: MemberId, to: MemberId) -> Message {
        let mut message = Message::default();
        message.set_msg_type(kind);
        (message.from, message.to, message.term) = (from, to, 3);
        message
    }

    fn bytes(message: Message) -> RaftMessage {
        RaftMessage::new(message.term, encode(message).unwrap())
    }

    fn courier() -> (Arc<Courier>, Inputs) {
        let config = TransportConfig::new("orders", 1);
        // Nobody is there.
        let network = Network::new().custom(|_, _| unreachable!("a queue alone dials nobody"));
        let transport = Transport::new(config, network).unwrap();
        Courier::new(transport)
    }

    #[tokio::test]
    async fn what_is_urgent_is_taken_first_and_nobody_speaks_for_another() {
        let (courier, mut inputs) = courier();
        let kinds = [
            MessageType::MsgAppend,
            MessageType::MsgHeartbeat,
            MessageType::MsgRequestVote,
        ];
        for kind in kinds {
            let messages = vec![bytes(message(kind, 2, 1))];
            courier
                .deliver(2, Class::LogAppend, messages)
                .await
                .unwrap();
        }
        for (from, to) in [(3, 1), (2, 3)] {
            let messages = vec![bytes(message(MessageType::MsgAppend, from, to))];
            let refused = courier
                .deliver(2, Class::LogAppend, messages)
                .await
                .unwrap_err();
            assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
        }
        for kind in kinds.into_iter().rev() {
            assert_eq!(
                inputs.try_next(),
                Some(Input::Message(Box::new(message(kind, 2, 1))))
            );
        }
        assert_eq!(inputs.try_next(), None);
        drop(courier);
        assert_eq!(inputs.next().await, None);
    }

    #[tokio::test]
    async fn what_cannot_be_sent_the_engine_is_told_of() {
        let (courier, mut inputs) = courier();
        courier.send([
            message(MessageType::MsgAppend, 1, 2),
            message(MessageType::MsgSnapshot, 1, 2),
        ]);
        assert_eq!(
            inputs.next().await,
            Some(Input::Snapshot(2, SnapshotStatus::Failure))
        );
        assert_eq!(inputs.next().await, Some(Input::Unreachable(2)));
        // One that stays away costs no memory, however often it is tried.
        for _ in 0..100 {
            courier.send([message(MessageType::MsgAppend, 1, 2)]);
            courier.send([message(MessageType::MsgSnapshot, 1, 2)]);
        }
        assert_eq!(
            inputs.try_next(),
            Some(Input::Snapshot(2, SnapshotStatus::Failure))
        );
        assert_eq!(inputs.try_next(), Some(Input::Unreachable(2)));
        assert_eq!(inputs.try_next(), None);
    }
}
