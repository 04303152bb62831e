//! The kinds of work, one file for each family. None knows which stack does it.

mod bulk;
mod echo;
mod idle;
mod mixed;
mod set_up;
mod streams;

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::{Outcome, data::SMALL_BYTES, sample::Sample, stack::Stack};

/// One work that can be asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    /// What it is called on the command line, and in figures.
    pub name: &'static str,
    /// What it is, for people.
    pub about: &'static str,
    /// What is counted.
    pub unit: &'static str,
    /// How many times the usual time it takes.
    pub times: u32,
    /// Whether it goes over the link that delays and loses packets.
    pub link: bool,
    /// What is done.
    pub kind: Kind,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Echoes of so many bytes by so many callers on each of so many connections.
    Echo {
        bytes: usize,
        connections: usize,
        callers: usize,
    },
    /// 1 MiB from client to server, by so many callers.
    Upload { callers: usize },
    /// 1 MiB from server to client, by so many callers.
    Download { callers: usize },
    /// A stream of small items from server to client.
    Items,
    /// A stream of small items from client to server.
    Collect,
    /// Small items to and fro on one call.
    PingPong,
    /// Connect, and call once.
    SetUp,
    /// Connections that are left alone.
    Idle,
    /// Small calls at a fixed pace, and perhaps others beside them.
    Mixed(Beside),
}

/// What goes beside small calls, on the same connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beside {
    Nothing,
    /// 10 MiB up and down in turn, 50 MiB/s.
    Huge,
    /// 1 MiB uploads, one after another.
    Large,
}

impl Kind {
    /// Whether it asks for streams.
    pub(crate) fn streams(self) -> bool {
        matches!(self, Self::Items | Self::Collect | Self::PingPong)
    }
}

impl Work {
    /// Whether it is worth counting allocations.
    pub(crate) fn is_counted(&self) -> bool {
        !self.link && !matches!(self.kind, Kind::Idle | Kind::Mixed(_))
    }
}

/// All of them, in the order of the tables.
#[rustfmt::skip]
pub(crate) const WORKS: &[Work] = &[
    echo("unary-1", "64-byte echo, 1 in flight", SMALL_BYTES, 1, 1),
    UNARY_64,
    echo("unary-256", "64-byte echo, 256 in flight", SMALL_BYTES, 1, 256),
    echo("unary-1024", "64-byte echo, 1024 in flight", SMALL_BYTES, 1, 1024),
    echo("unary-4k", "4 KiB echo, 64 in flight", 4096, 1, 64),
    work("upload", "1 MiB upload, 8 in flight", "MiB", Kind::Upload { callers: 8 }),
    work("download", "1 MiB download, 8 in flight", "MiB", Kind::Download { callers: 8 }),
    work("items", "server streaming of 64-byte items", "items", Kind::Items),
    work("collect", "client streaming of 64-byte items", "items", Kind::Collect),
    work("ping-pong", "64-byte items to and fro on one stream", "turns", Kind::PingPong),
    echo("clients-16", "64-byte echo, 16 clients on one connection", SMALL_BYTES, 1, 16),
    echo("connections-1", "64-byte echo, 1 connection, 8 in flight", SMALL_BYTES, 1, 8),
    echo("connections-10", "64-byte echo, 10 connections, 8 in flight on each", SMALL_BYTES, 10, 8),
    echo("connections-100", "64-byte echo, 100 connections, 8 in flight on each", SMALL_BYTES, 100, 8),
    work("set-up", "connect and call once", "connections", Kind::SetUp),
    work("idle", "1000 idle connections", "connections", Kind::Idle),
    SMALL_ALONE,
    Work {
        name: "small-beside-huge",
        about: "the same beside 10 MiB calls, 50 MiB/s",
        kind: Kind::Mixed(Beside::Huge),
        ..SMALL_ALONE
    },
    over_link("link-unary-64", "1 % loss, 20 ms: 64-byte echo, 64 in flight", UNARY_64),
    over_link(
        "link-upload",
        "1 % loss, 20 ms: 1 MiB upload, 1 in flight",
        work("", "", "MiB", Kind::Upload { callers: 1 }),
    ),
    over_link("link-small-alone", "1 % loss, 20 ms: 500 64-byte echoes a second", SMALL_ALONE),
    Work {
        kind: Kind::Mixed(Beside::Large),
        ..over_link("link-small-beside-large", "the same beside 1 MiB uploads, one after another", SMALL_ALONE)
    },
];

const UNARY_64: Work = echo("unary-64", "64-byte echo, 64 in flight", SMALL_BYTES, 1, 64);
const SMALL_ALONE: Work = Work {
    times: 5,
    ..work(
        "small-alone",
        "500 64-byte echoes a second",
        "calls",
        Kind::Mixed(Beside::Nothing),
    )
};

const fn echo(
    name: &'static str,
    about: &'static str,
    bytes: usize,
    connections: usize,
    callers: usize,
) -> Work {
    let kind = Kind::Echo {
        bytes,
        connections,
        callers,
    };
    work(name, about, "calls", kind)
}

const fn work(name: &'static str, about: &'static str, unit: &'static str, kind: Kind) -> Work {
    Work {
        name,
        about,
        unit,
        times: 1,
        link: false,
        kind,
    }
}

/// The same over the link, for longer: a turn takes 20 ms there.
const fn over_link(name: &'static str, about: &'static str, work: Work) -> Work {
    Work {
        name,
        about,
        times: 5,
        link: true,
        ..work
    }
}

/// Does the work for about so long. It can be asked again: the first time warms up.
pub(crate) type Round = Box<dyn Fn(Duration) -> BoxFuture<'static, Outcome<Sample>> + Send + Sync>;

/// Makes the connections that the work needs.
pub(crate) async fn prepare<S: Stack>(stack: S, kind: Kind) -> Outcome<Round> {
    match kind {
        Kind::Echo {
            bytes,
            connections,
            callers,
        } => echo::prepare(stack, bytes, connections, callers).await,
        Kind::Upload { callers } => bulk::prepare(stack, bulk::Way::Up, callers).await,
        Kind::Download { callers } => bulk::prepare(stack, bulk::Way::Down, callers).await,
        Kind::Items | Kind::Collect | Kind::PingPong => streams::prepare(stack, kind).await,
        Kind::SetUp => Ok(set_up::prepare(stack)),
        Kind::Idle => Ok(idle::prepare(stack)),
        Kind::Mixed(beside) => mixed::prepare(stack, beside).await,
    }
}
