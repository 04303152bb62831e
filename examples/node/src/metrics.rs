//! [`Sources`]: all that a node counts, as Prometheus text. What each is, says its `HELP`; `grafana/` draws them.

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use blixard_raft_transport::Transport;
use blixard_rpc::observe::Metrics;
use blixard_services::{
    image::{ImageHost, ImageState, Images},
    node::{Components, ServingState},
    status::{ClusterSource, Connections, PathKind, PeerSource, RaftRole},
    vm::{Qemu, VmHost, VmState, Vms},
};
use iroh_metrics::Registry;

use crate::carried::Carried;

/// Where the counts come from.
pub struct Sources {
    /// What was said to it while it ran.
    pub reloads: Arc<Reloads>,
    /// Calls.
    pub calls: Metrics,
    /// What carried them.
    pub carried: Carried,
    /// The parts of the node.
    pub components: Components,
    /// Connections over iroh.
    pub connections: Connections,
    /// What iroh counts of itself, if there is an endpoint.
    pub iroh: Option<Registry>,
    /// The messages of Raft.
    pub transport: Transport,
    /// The engine.
    pub cluster: Box<dyn ClusterSource>,
    /// The machines, if the node runs any.
    pub machines: Option<VmHost<Qemu>>,
    /// The disk images, if the node keeps any.
    pub images: Option<ImageHost>,
}

/// How often the file of the node was read again.
#[derive(Debug, Default)]
pub struct Reloads {
    done: AtomicU64,
    refused: AtomicU64,
    last_was_refused: AtomicBool,
}

impl Reloads {
    /// Once more, and whether it counts.
    pub fn note(&self, done: bool) {
        let count = if done { &self.done } else { &self.refused };
        count.fetch_add(1, Relaxed);
        self.last_was_refused.store(!done, Relaxed);
    }

    fn write(&self, out: &mut String) {
        let name = "blixard_node_reloads_total";
        head(
            out,
            name,
            "counter",
            "How often the file of the node was read again, and whether it was taken.",
        );
        for (outcome, count) in [("done", &self.done), ("refused", &self.refused)] {
            series(out, name, &[("outcome", outcome)], count.load(Relaxed));
        }
        let name = "blixard_node_last_reload_refused";
        head(
            out,
            name,
            "gauge",
            "Whether the file was refused when it was read last, 1 or 0.",
        );
        series(
            out,
            name,
            &[],
            u8::from(self.last_was_refused.load(Relaxed)),
        );
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}

impl Sources {
    /// All of it, in the [text format of Prometheus](https://prometheus.io/docs/instrumenting/exposition_formats/), version 0.0.4.
    pub async fn render(&self) -> String {
        let mut out = self.calls.render();
        self.reloads.write(&mut out);
        self.carried.write(&mut out);
        out += &self.transport.metrics();
        self.components(&mut out);
        self.engine(&mut out);
        self.connections(&mut out);
        if let Some(machines) = &self.machines {
            count_machines(machines, &mut out).await;
        }
        if let Some(images) = &self.images {
            count_images(images, &mut out).await;
        }
        if let Some(iroh) = &self.iroh {
            // It writes to a string, which takes everything.
            let _ = iroh.encode_openmetrics_to_writer(&mut out);
        }
        out
    }

    fn components(&self, out: &mut String) {
        let view = self.components.view();
        let serves = |state| u8::from(state != ServingState::NotServing);
        let name = "blixard_node_serving";
        head(out, name, "gauge", "Whether the node serves, 1 or 0.");
        series(out, name, &[], serves(view.state));
        let name = "blixard_node_component_serving";
        head(
            out,
            name,
            "gauge",
            "Whether a part of the node serves, 1 or 0.",
        );
        for part in &view.components {
            series(out, name, &[("component", &part.name)], serves(part.state));
        }
        let name = "blixard_node_component_degraded";
        head(
            out,
            name,
            "gauge",
            "Whether a part serves and is not as it should be, 1 or 0.",
        );
        for part in &view.components {
            let degraded = u8::from(part.state == ServingState::Degraded);
            series(out, name, &[("component", &part.name)], degraded);
        }
    }

    fn engine(&self, out: &mut String) {
        let Ok(raft) = self.cluster.raft() else {
            return;
        };
        for (name, help, value) in [
            (
                "blixard_raft_term",
                "The term of this member.",
                Some(raft.term),
            ),
            (
                "blixard_raft_is_leader",
                "Whether this member leads, 1 or 0.",
                Some(u64::from(raft.role == RaftRole::Leader)),
            ),
            (
                "blixard_raft_has_leader",
                "Whether this member knows of a leader, 1 or 0.",
                Some(u64::from(raft.leader.is_some())),
            ),
            (
                "blixard_raft_last_index",
                "The last entry of the log.",
                raft.last_index,
            ),
            (
                "blixard_raft_committed_index",
                "The last entry that is known to be committed.",
                raft.committed_index,
            ),
            (
                "blixard_raft_applied_index",
                "The last entry that the state has.",
                raft.applied_index,
            ),
            (
                "blixard_raft_log_entries",
                "Entries that the log keeps.",
                Some(raft.log_entries),
            ),
        ] {
            head(out, name, "gauge", help);
            if let Some(value) = value {
                series(out, name, &[], value);
            }
        }
        let name = "blixard_raft_replication_lag_entries";
        head(
            out,
            name,
            "gauge",
            "By how many entries another member is behind; of the leader alone.",
        );
        for replica in &raft.replicas {
            let peer = replica.id.to_string();
            series(out, name, &[("peer", &peer)], replica.lag_entries);
        }
    }

    fn connections(&self, out: &mut String) {
        let peers = self.connections.peers();
        let mut counts = BTreeMap::from([("direct", 0), ("relayed", 0), ("other", 0)]);
        for peer in &peers {
            let selected = peer.paths.iter().find(|path| path.selected);
            let kind = match selected.map(|path| path.kind) {
                Some(PathKind::Direct) => "direct",
                Some(PathKind::Relayed) => "relayed",
                _ => "other",
            };
            *counts.entry(kind).or_default() += 1_u64;
        }
        let name = "blixard_node_iroh_connections";
        head(
            out,
            name,
            "gauge",
            "Open connections over iroh, by the kind of their path.",
        );
        for (kind, count) in counts {
            series(out, name, &[("path", kind)], count);
        }
        // Of members alone: whoever connects must not be able to make series.
        let name = "blixard_node_member_round_trip_seconds";
        head(
            out,
            name,
            "gauge",
            "The round trip to another member over iroh, of the path in use.",
        );
        let members = self
            .cluster
            .cluster()
            .map(|it| it.members)
            .unwrap_or_default();
        for member in members {
            let paths = peers.iter().filter(|it| it.key == member.key);
            let mut paths = paths.flat_map(|it| &it.paths).filter(|it| it.selected);
            if let Some(round_trip) = paths.find_map(|it| it.round_trip) {
                let peer = member.id.to_string();
                series(out, name, &[("peer", &peer)], round_trip.as_secs_f64());
            }
        }
    }
}

async fn count_machines(machines: &VmHost<Qemu>, out: &mut String) {
    let mut states: BTreeMap<&str, u64> = STATES.iter().map(|(_, name)| (*name, 0)).collect();
    let (mut recoveries, mut page) = (0, String::new());
    // A node that closes has none.
    while let Ok(found) = machines.list(page).await {
        for vm in &found.vms {
            let state = STATES.iter().find(|(state, _)| *state == vm.state);
            *states
                .entry(state.map_or("unknown", |(_, name)| name))
                .or_default() += 1;
            recoveries += u64::from(vm.recoveries);
        }
        page = found.next_page;
        if page.is_empty() {
            break;
        }
    }
    let name = "blixard_vm_machines";
    head(out, name, "gauge", "Machines of the node, by state.");
    for (state, count) in states {
        series(out, name, &[("state", state)], count);
    }
    let name = "blixard_vm_recoveries";
    head(
        out,
        name,
        "gauge",
        "Recoveries of machines since each of them was well.",
    );
    series(out, name, &[], recoveries);
}

async fn count_images(images: &ImageHost, out: &mut String) {
    let mut states = BTreeMap::from([("ready", 0), ("partial", 0), ("evicted", 0), ("changed", 0)]);
    let (mut shared_bytes, mut fetched_bytes, mut page) = (0, 0, String::new());
    while let Ok(found) = images.list(page).await {
        for image in &found.images {
            let state = match image.state {
                ImageState::Ready => "ready",
                ImageState::Partial => "partial",
                ImageState::Evicted => "evicted",
                ImageState::Changed => "changed",
                _ => "unknown",
            };
            *states.entry(state).or_default() += 1_u64;
            // Names may lead to one content: then it counts for each.
            if image.file.is_empty() {
                fetched_bytes += image.here_bytes;
            } else {
                shared_bytes += image.here_bytes;
            }
        }
        page = found.next_page;
        if page.is_empty() {
            break;
        }
    }
    let name = "blixard_image_images";
    head(
        out,
        name,
        "gauge",
        "Disk images that the node knows by name, by state.",
    );
    for (state, count) in states {
        series(out, name, &[("state", state)], count);
    }
    let name = "blixard_image_bytes";
    head(
        out,
        name,
        "gauge",
        "What is here of disk images, shared where it is or fetched.",
    );
    series(out, name, &[("kind", "shared")], shared_bytes);
    series(out, name, &[("kind", "fetched")], fetched_bytes);
}

const STATES: [(VmState, &str); 10] = [
    (VmState::Unspecified, "unknown"),
    (VmState::Created, "created"),
    (VmState::Starting, "starting"),
    (VmState::Running, "running"),
    (VmState::Stopping, "stopping"),
    (VmState::Stopped, "stopped"),
    (VmState::Failed, "failed"),
    (VmState::Paused, "paused"),
    (VmState::Migrating, "migrating"),
    (VmState::Deleting, "deleting"),
];

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// The values of labels are names of our own, or numbers.
fn series(out: &mut String, name: &str, labels: &[(&str, &str)], value: impl Display) {
    out.push_str(name);
    for (at, (label, value)) in labels.iter().enumerate() {
        let _ = write!(
            out,
            "{}{label}=\"{value}\"",
            if at == 0 { '{' } else { ',' }
        );
    }
    let end = if labels.is_empty() { "" } else { "}" };
    let _ = writeln!(out, "{end} {value}");
}
