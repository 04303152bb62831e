//! The live table: how each node is, and how the leader sees it.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal, Write as _},
};

use crate::{
    api::{NodeStatus, PeerStatus},
    layout::Layout,
};

/// Draws the table, on a terminal in the place of the last one.
#[derive(Debug, Default)]
pub struct Table {
    lines: usize,
}

impl Table {
    /// Draws it anew. `note` is the line below.
    ///
    /// # Errors
    /// If the output is gone.
    pub fn draw(
        &mut self,
        layout: &Layout,
        statuses: &[Option<NodeStatus>],
        note: &str,
    ) -> io::Result<()> {
        let text = render(layout, statuses, note);
        let mut out = io::stdout().lock();
        if out.is_terminal() && self.lines > 0 {
            write!(out, "\x1b[{}A\x1b[J", self.lines)?;
        }
        self.lines = text.lines().count();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Leaves the last one where it is: the next is drawn below.
    pub fn keep(&mut self) {
        self.lines = 0;
    }
}

fn render(layout: &Layout, statuses: &[Option<NodeStatus>], note: &str) -> String {
    let leader = statuses
        .iter()
        .flatten()
        .filter(|it| it.leader == Some(it.id))
        .max_by_key(|it| it.term);
    let end = leader.and_then(|it| it.committed).unwrap_or_default();
    let mut text = format!(
        "  {:<4} {:<9} {:>4} {:>9} {:>7}  {:<5} | {:<15} {:<15} {:<15} {:<15}\n",
        "node", "role", "term", "commit", "lag", "over", "election", "heartbeat", "log", "snapshot"
    );
    for (member, status) in layout.members.iter().zip(statuses) {
        let seen = leader.and_then(|it| it.peers.iter().find(|peer| peer.id == member.id));
        let row = match status {
            Some(status) => format!(
                "{:<9} {:>4} {:>9} {:>7}  {:<5}",
                status.role,
                status.term,
                status.committed.unwrap_or_default(),
                end.saturating_sub(status.applied.unwrap_or_default()),
                status.mode,
            ),
            None => format!(
                "{:<9} {:>4} {:>9} {:>7}  {:<5}",
                "does not answer", "", "", "", ""
            ),
        };
        let _ = writeln!(
            text,
            "  {:<4} {row} | {}",
            member.id,
            seen.map_or_else(String::new, classes)
        );
    }
    let _ = writeln!(text, "  {note}");
    text
}

/// How the leader finds a peer, a class at a time.
fn classes(peer: &PeerStatus) -> String {
    let mut text = String::new();
    for class in &peer.classes {
        let round_trip = class
            .round_trip_micros
            .map_or_else(String::new, |it| format!(" {:.1} ms", it as f64 / 1000.0));
        let _ = write!(text, "{:<15} ", format!("{}{round_trip}", class.health));
    }
    text
}
