//! The engine's messages as bytes: what `eraftpb.proto` says, so that others can read them. Decoded by this framework and not by the
//! engine's own protobuf, since that has no bound to how deep unknown groups nest, and what comes from a peer must not overflow the stack.

use blixard_rpc::{Message as _, Result, Status, call::Codec, message as rpc_message};
use bytes::{Bytes, BytesMut};
use raft::eraftpb::{
    ConfState, Entry, EntryType, Message, MessageType, Snapshot, SnapshotMetadata,
};

#[rpc_message]
#[derive(Clone, Debug, Default, PartialEq)]
struct Wire {
    #[tag(1)]
    kind: i32,
    #[tag(2)]
    to: u64,
    #[tag(3)]
    from: u64,
    #[tag(4)]
    term: u64,
    #[tag(5)]
    log_term: u64,
    #[tag(6)]
    index: u64,
    #[tag(7)]
    entries: Vec<WireEntry>,
    #[tag(8)]
    commit: u64,
    #[tag(9)]
    snapshot: Option<WireSnapshot>,
    #[tag(10)]
    reject: bool,
    #[tag(11)]
    reject_hint: u64,
    #[tag(12)]
    context: Bytes,
    #[tag(13)]
    request_snapshot: u64,
    #[tag(14)]
    deprecated_priority: u64,
    #[tag(15)]
    commit_term: u64,
    #[tag(16)]
    priority: i64,
}

#[rpc_message]
#[derive(Clone, Debug, Default, PartialEq)]
struct WireEntry {
    #[tag(1)]
    kind: i32,
    #[tag(2)]
    term: u64,
    #[tag(3)]
    index: u64,
    #[tag(4)]
    data: Bytes,
    #[tag(5)]
    sync_log: bool,
    #[tag(6)]
    context: Bytes,
}

/// Without its bytes, which are the upload's.
#[rpc_message]
#[derive(Clone, Debug, Default, PartialEq)]
struct WireSnapshot {
    #[tag(2)]
    metadata: WireMetadata,
}

#[rpc_message]
#[derive(Clone, Debug, Default, PartialEq)]
struct WireMetadata {
    #[tag(1)]
    conf_state: WireConfState,
    #[tag(2)]
    index: u64,
    #[tag(3)]
    term: u64,
}

#[rpc_message]
#[derive(Clone, Debug, Default, PartialEq)]
struct WireConfState {
    #[tag(1)]
    voters: Vec<u64>,
    #[tag(2)]
    learners: Vec<u64>,
    #[tag(3)]
    voters_outgoing: Vec<u64>,
    #[tag(4)]
    learners_next: Vec<u64>,
    #[tag(5)]
    auto_leave: bool,
}

/// The message, but for the bytes of a snapshot.
pub(super) fn encode(mut message: Message) -> Result<Bytes> {
    let entries = message
        .take_entries()
        .into_iter()
        .map(|mut entry| WireEntry {
            kind: entry.get_entry_type() as i32,
            term: entry.term,
            index: entry.index,
            data: entry.take_data(),
            sync_log: entry.sync_log,
            context: entry.take_context(),
        });
    let wire = Wire {
        kind: message.get_msg_type() as i32,
        to: message.to,
        from: message.from,
        term: message.term,
        log_term: message.log_term,
        index: message.index,
        entries: entries.collect(),
        commit: message.commit,
        snapshot: message.has_snapshot().then(|| WireSnapshot {
            metadata: metadata(message.get_snapshot().get_metadata()),
        }),
        reject: message.reject,
        reject_hint: message.reject_hint,
        context: message.take_context(),
        request_snapshot: message.request_snapshot,
        deprecated_priority: message.deprecated_priority,
        commit_term: message.commit_term,
        priority: message.priority,
    };
    let mut out = BytesMut::new();
    wire.encode(Codec::Protobuf, &mut out)?;
    Ok(out.freeze())
}

/// # Errors
/// `INVALID_ARGUMENT` if the bytes are no message of this engine.
pub(super) fn decode(bytes: Bytes) -> Result<Message> {
    let invalid =
        |what: String| Status::invalid_argument(format!("not a message of this engine: {what}"));
    let wire = Wire::decode(Codec::Protobuf, bytes)
        .map_err(|status| invalid(status.message().to_owned()))?;
    let kind = KINDS.into_iter().find(|kind| *kind as i32 == wire.kind);
    let mut message = Message::default();
    message.set_msg_type(kind.ok_or_else(|| invalid(format!("type {}", wire.kind)))?);
    message.to = wire.to;
    message.from = wire.from;
    message.term = wire.term;
    message.log_term = wire.log_term;
    message.index = wire.index;
    for entry in wire.entries {
        let kind = ENTRIES.into_iter().find(|kind| *kind as i32 == entry.kind);
        let mut into = Entry::default();
        into.set_entry_type(
            kind.ok_or_else(|| invalid(format!("an entry of type {}", entry.kind)))?,
        );
        into.term = entry.term;
        into.index = entry.index;
        into.set_data(entry.data);
        into.sync_log = entry.sync_log;
        into.set_context(entry.context);
        message.mut_entries().push(into);
    }
    message.commit = wire.commit;
    if let Some(snapshot) = wire.snapshot {
        let mut into = Snapshot::default();
        into.set_metadata(into_metadata(snapshot.metadata));
        message.set_snapshot(into);
    }
    message.reject = wire.reject;
    message.reject_hint = wire.reject_hint;
    message.set_context(wire.context);
    message.request_snapshot = wire.request_snapshot;
    message.deprecated_priority = wire.deprecated_priority;
    message.commit_term = wire.commit_term;
    message.priority = wire.priority;
    Ok(message)
}

fn metadata(metadata: &SnapshotMetadata) -> WireMetadata {
    let state = metadata.get_conf_state();
    WireMetadata {
        conf_state: WireConfState {
            voters: state.get_voters().to_vec(),
            learners: state.get_learners().to_vec(),
            voters_outgoing: state.get_voters_outgoing().to_vec(),
            learners_next: state.get_learners_next().to_vec(),
            auto_leave: state.auto_leave,
        },
        index: metadata.index,
        term: metadata.term,
    }
}

fn into_metadata(wire: WireMetadata) -> SnapshotMetadata {
    let mut state = ConfState::default();
    state.set_voters(wire.conf_state.voters);
    state.set_learners(wire.conf_state.learners);
    state.set_voters_outgoing(wire.conf_state.voters_outgoing);
    state.set_learners_next(wire.conf_state.learners_next);
    state.auto_leave = wire.conf_state.auto_leave;
    let mut metadata = SnapshotMetadata::default();
    metadata.set_conf_state(state);
    metadata.index = wire.index;
    metadata.term = wire.term;
    metadata
}

/// What one member may say to another; the rest is between an engine and its user.
const KINDS: [MessageType; 14] = [
    MessageType::MsgPropose,
    MessageType::MsgAppend,
    MessageType::MsgAppendResponse,
    MessageType::MsgRequestVote,
    MessageType::MsgRequestVoteResponse,
    MessageType::MsgSnapshot,
    MessageType::MsgHeartbeat,
    MessageType::MsgHeartbeatResponse,
    MessageType::MsgTransferLeader,
    MessageType::MsgTimeoutNow,
    MessageType::MsgReadIndex,
    MessageType::MsgReadIndexResp,
    MessageType::MsgRequestPreVote,
    MessageType::MsgRequestPreVoteResponse,
];

const ENTRIES: [EntryType; 3] = [
    EntryType::EntryNormal,
    EntryType::EntryConfChange,
    EntryType::EntryConfChangeV2,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn everything() -> Message {
        let mut entry = Entry::default();
        entry.set_entry_type(EntryType::EntryConfChangeV2);
        (entry.term, entry.index, entry.sync_log) = (1, 2, true);
        entry.set_data("data".into());
        entry.set_context("context".into());
        let mut message = Message::default();
        message.set_msg_type(MessageType::MsgSnapshot);
        (
            message.to,
            message.from,
            message.term,
            message.log_term,
            message.index,
        ) = (3, 4, 5, 6, 7);
        message.mut_entries().push(entry.clone());
        message.mut_entries().push(entry);
        (
            message.commit,
            message.commit_term,
            message.request_snapshot,
        ) = (8, 9, 10);
        (message.reject, message.reject_hint) = (true, 11);
        (message.deprecated_priority, message.priority) = (12, -13);
        message.set_context("which".into());
        let metadata = message.mut_snapshot().mut_metadata();
        (metadata.index, metadata.term) = (14, 15);
        let state = metadata.mut_conf_state();
        state.set_voters(vec![1, 2]);
        state.set_learners(vec![3]);
        state.set_voters_outgoing(vec![4]);
        state.set_learners_next(vec![5]);
        state.auto_leave = true;
        message
    }

    #[test]
    fn nothing_of_a_message_is_lost() {
        let message = everything();
        assert_eq!(decode(encode(message.clone()).unwrap()).unwrap(), message);
        for kind in KINDS {
            let mut message = Message::default();
            message.set_msg_type(kind);
            assert_eq!(decode(encode(message.clone()).unwrap()).unwrap(), message);
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_engines_own_encoding() {
        let message = everything();
        let bytes = encode(message.clone()).unwrap();
        let own = protobuf::Message::write_to_bytes(&message).unwrap();
        let read: Message = protobuf::Message::parse_from_bytes(&bytes).unwrap();
        assert_eq!(read, message);
        assert_eq!(decode(own.into()).unwrap(), message);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        // Messages that an engine sends to itself: from a peer they would make it do as the peer likes.
        for kind in [
            MessageType::MsgHup,
            MessageType::MsgBeat,
            MessageType::MsgUnreachable,
            MessageType::MsgSnapStatus,
            MessageType::MsgCheckQuorum,
        ] {
            let mut message = Message::default();
            message.set_msg_type(kind);
            let refused = decode(encode(message).unwrap()).unwrap_err();
            assert!(refused.message().contains("type"), "{refused}");
        }
        for bytes in [
            &[0x08, 0x63][..],
            &[0x3a, 0xff],
            &[0x3a, 0x02, 0x08, 0x09],
            &[0xff; 12],
        ] {
            decode(Bytes::copy_from_slice(bytes)).unwrap_err();
        }
        // Groups in groups, a million deep.
        decode(vec![0xfb; 1_000_000].into()).unwrap_err();
    }
}
