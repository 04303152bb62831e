//! An engine-neutral Raft transport over blixard-rpc.
//!
//! It will carry `(peer, class, bytes)` in four classes, Election before Heartbeat before LogAppend before Snapshot, each on a QUIC
//! stream and priority of its own, with bounded queues, batching, and health per class and peer; engine adapters stand on top.
//! Nothing is here yet.
