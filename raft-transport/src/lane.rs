//! [`Lane`]: the one-way messages of one class to one peer: what waits, what is under way, and when to open, send and give up. Pure: the
//! time and random numbers are arguments, and whoever is told to do something does it.

use std::{collections::VecDeque, time::Duration};

use blixard_rpc::backoff::Backoff;
use blixard_services::raft::RaftMessage;
use tokio::time::Instant;

use crate::{
    class::Class,
    config::{QueueLimits, TransportConfig},
    health::{Failure, Health, Standing},
    queue::{Full, Queue},
};

/// The one-way messages of one class to one peer.
#[derive(Debug)]
pub struct Lane {
    queue: Queue,
    in_flight: QueueLimits,
    reopen: Backoff,
    /// Whether what waits is dropped when the peer goes down: what an engine has sent ahead of acknowledgements is of no use then.
    drops_when_down: bool,
    stream: Stream,
    /// How many streams were opened.
    streams: u64,
    /// The number of the last batch, of all streams.
    sequence: u64,
    flight: VecDeque<Flight>,
    flight_messages: usize,
    flight_bytes: usize,
    failures: u32,
    health: Health,
    drops: Drops,
}

/// What the lane's stream is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    /// There is none, and none may be opened before this.
    Closed {
        until: Option<Instant>,
    },
    /// It is being opened.
    Opening,
    Open,
    /// Nothing more is sent on it.
    Ending,
}

/// A batch that was sent and is not acknowledged.
#[derive(Debug)]
struct Flight {
    sequence: u64,
    sent: Instant,
    messages: usize,
    bytes: usize,
}

/// What a lane has dropped since it was asked last, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// Too old.
    pub stale: usize,
    /// Replaced by a newer one.
    pub superseded: usize,
    /// Lost with the stream, before they were acknowledged.
    pub cut: usize,
    /// As the peer is down.
    pub down: usize,
}

/// What whoever looks after the stream is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Open a stream of this number, by which whoever carries it asks for what is [next](Lane::next). Say [`Lane::lost`] or
    /// [`Lane::ended`] when it is over.
    Open(u64),
    /// Give the stream up, and say [`Lane::lost`]: nothing is acknowledged any more.
    Cut,
    /// Nothing, until something happens, or until then.
    Wait(Option<Instant>),
}

/// What whoever carries the stream is to send next.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// This batch.
    Send {
        /// The number that acknowledges it.
        sequence: u64,
        /// The messages.
        messages: Vec<RaftMessage>,
    },
    /// Nothing, until something happens, or until then.
    Wait(Option<Instant>),
    /// Nothing more on this stream.
    End,
}

impl Lane {
    /// Nothing sent, nothing known.
    #[must_use]
    pub fn new(class: Class, config: &TransportConfig) -> Self {
        let window = match class {
            Class::LogAppend => config.append_window,
            _ => Duration::ZERO,
        };
        Self {
            queue: Queue::new(config.limits(class), config.stale_after(class), window),
            in_flight: config.in_flight,
            reopen: REOPEN,
            drops_when_down: class >= Class::LogAppend,
            stream: Stream::Closed { until: None },
            streams: 0,
            sequence: 0,
            flight: VecDeque::new(),
            flight_messages: 0,
            flight_bytes: 0,
            failures: 0,
            health: Health::new(config.suspect_after),
            drops: Drops::default(),
        }
    }

    /// What waits.
    #[must_use]
    pub const fn queue(&self) -> &Queue {
        &self.queue
    }

    /// How many messages are under way, and how many bytes they have.
    #[must_use]
    pub const fn in_flight(&self) -> (usize, usize) {
        (self.flight_messages, self.flight_bytes)
    }

    /// Whether somebody must be told to open a stream for what waits.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self.stream, Stream::Closed { .. })
    }

    /// Whether there is something for whoever carries the stream: messages, or its end.
    #[must_use]
    pub fn has_next(&self) -> bool {
        match self.stream {
            Stream::Open | Stream::Opening => !self.queue.is_empty(),
            Stream::Ending | Stream::Closed { .. } => true,
        }
    }

    /// How the peer is.
    #[must_use]
    pub const fn health(&self) -> &Health {
        &self.health
    }

    /// What was dropped since the last time.
    pub fn take_drops(&mut self) -> Drops {
        std::mem::take(&mut self.drops)
    }

    /// Queues a message; under a key, in place of the one that waits under it.
    ///
    /// # Errors
    /// There is no room: it is dropped.
    pub fn push(
        &mut self,
        now: Instant,
        key: Option<u64>,
        message: RaftMessage,
    ) -> Result<(), Full> {
        self.drops.stale += self.queue.expire(now);
        match key {
            None => self.queue.push(now, message),
            Some(key) => {
                let replaced = self.queue.push_newest(now, key, message)?;
                self.drops.superseded += usize::from(replaced);
                Ok(())
            }
        }
    }

    /// What to do now. Ask again after whatever happens, and when the time to wait is over.
    pub fn step(&mut self, now: Instant) -> Step {
        self.drops.stale += self.queue.expire(now);
        match self.stream {
            Stream::Closed { until } => match until {
                _ if self.queue.is_empty() => Step::Wait(None),
                Some(until) if now < until => Step::Wait(Some(until)),
                _ => {
                    self.stream = Stream::Opening;
                    self.streams += 1;
                    Step::Open(self.streams)
                }
            },
            Stream::Opening => Step::Wait(None),
            Stream::Open | Stream::Ending => {
                self.health.check(now);
                if self.health.is_silent(now) {
                    return Step::Cut;
                }
                Step::Wait(self.health.next_check())
            }
        }
    }

    /// What to send now on the stream of this number; asking says that there is somebody who carries it. Ask again after whatever
    /// happens, and when the time to wait is over.
    pub fn next(&mut self, now: Instant, stream: u64) -> Next {
        match self.stream {
            // One that was given up, and has not heard of it yet.
            _ if stream != self.streams => return Next::End,
            Stream::Closed { .. } | Stream::Ending => return Next::End,
            Stream::Opening => self.stream = Stream::Open,
            Stream::Open => {}
        }
        let has_room = self.flight_messages < self.window_messages()
            && self.flight_bytes < self.in_flight.bytes;
        match self.queue.ready_at() {
            Some(ready) if has_room && now >= ready => {
                let (messages, stale) = self.queue.take(now);
                self.drops.stale += stale;
                if messages.is_empty() {
                    Next::Wait(None)
                } else {
                    self.send(now, messages)
                }
            }
            Some(ready) if has_room => Next::Wait(Some(ready)),
            // An acknowledgement makes room.
            _ => Next::Wait(None),
        }
    }

    /// How many messages may be under way: as many as a way of this length takes. More are not sooner there; they stand before what is
    /// urgent in the sockets, and come in floods that keep each side waiting for the other.
    fn window_messages(&self) -> usize {
        let round_trip = self.health.round_trip().unwrap_or_default();
        let by_way = round_trip.as_micros() * MESSAGES_PER_MILLISECOND / 1000;
        let by_way = usize::try_from(by_way).unwrap_or(usize::MAX);
        by_way.max(LEAST_WINDOW).min(self.in_flight.messages)
    }

    fn send(&mut self, now: Instant, messages: Vec<RaftMessage>) -> Next {
        self.sequence += 1;
        let bytes = messages.iter().map(|message| message.payload.len()).sum();
        self.flight_messages += messages.len();
        self.flight_bytes += bytes;
        self.flight.push_back(Flight {
            sequence: self.sequence,
            sent: now,
            messages: messages.len(),
            bytes,
        });
        self.health.sent(now, 1);
        Next::Send {
            sequence: self.sequence,
            messages,
        }
    }

    /// No more is to be sent on this stream; what is under way may still be acknowledged.
    pub fn end(&mut self) {
        if matches!(self.stream, Stream::Open | Stream::Opening) {
            self.stream = Stream::Ending;
        }
    }

    /// The peer has taken this batch, and all before it.
    pub fn acked(&mut self, now: Instant, sequence: u64) {
        if sequence > self.sequence {
            return;
        }
        while let Some(flight) = self.flight.front()
            && flight.sequence <= sequence
        {
            let took = now.saturating_duration_since(flight.sent);
            self.flight_messages -= flight.messages;
            self.flight_bytes -= flight.bytes;
            self.flight.pop_front();
            self.health.acked(now, took, 1);
            self.failures = 0;
        }
    }

    /// There is no stream any more, or none could be opened. What was under way may have come or not: it is not sent again, for an
    /// engine that asks again is better than one that is told twice.
    pub fn lost(&mut self, now: Instant, failure: Failure, random: u64) {
        self.forget_flight();
        self.health.failed(failure);
        self.failures = self.failures.saturating_add(1);
        let until = now + self.reopen.delay(self.failures, random);
        self.stream = Stream::Closed { until: Some(until) };
        if self.drops_when_down && self.health.standing() == Standing::Down {
            self.drops.down += self.queue.clear();
        }
    }

    /// The stream was ended on purpose, to go on over another: that says nothing of the peer.
    pub fn ended(&mut self) {
        self.forget_flight();
        self.stream = Stream::Closed { until: None };
    }

    /// The peer has called us: it is there, so a new attempt is worth it.
    pub fn heard(&mut self) {
        if let Stream::Closed { until } = &mut self.stream {
            *until = None;
        }
    }

    /// Drops all that waits; says how many messages.
    pub fn clear(&mut self) -> usize {
        self.queue.clear()
    }

    fn forget_flight(&mut self) {
        self.drops.cut += self.flight_messages;
        self.flight.clear();
        self.flight_messages = 0;
        self.flight_bytes = 0;
        self.health.forget_all();
    }
}

/// So many messages may be under way however short the way is.
const LEAST_WINDOW: usize = 1024;
/// And so many for each millisecond of the round trip, where that is more.
const MESSAGES_PER_MILLISECOND: u128 = 512;

/// When a stream is opened anew. How often a peer is dialled is not decided here, but by the pool: an attempt in between is told so at
/// once, and costs nothing.
const REOPEN: Backoff = Backoff {
    first: Duration::from_millis(20),
    longest: Duration::from_millis(500),
};

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends what may be sent; how many messages, and the last batch.
    fn send(lane: &mut Lane, now: Instant) -> (usize, u64) {
        let (mut sent, mut last) = (0, 0);
        while let Next::Send { sequence, messages } = lane.next(now, 1) {
            sent += messages.len();
            last = sequence;
        }
        (sent, last)
    }

    #[test]
    fn more_is_under_way_where_the_way_is_long() {
        for (round_trip_ms, window) in [(0, 1024), (1, 1024), (4, 2048), (100, 4096)] {
            let mut lane = Lane::new(Class::LogAppend, &TransportConfig::new("orders", 1));
            let start = Instant::now();
            let fill = |lane: &mut Lane, now| {
                while lane.push(now, None, RaftMessage::new(1, "x")).is_ok() {}
            };
            fill(&mut lane, start);
            assert_eq!(lane.step(start), Step::Open(1));
            // The last batch may go over it.
            let may_be = |window: usize| window..window + 100;
            let (sent, last) = send(&mut lane, start);
            assert!(may_be(LEAST_WINDOW).contains(&sent), "{sent}");
            let now = start + Duration::from_millis(round_trip_ms);
            lane.acked(now, last);
            fill(&mut lane, now);
            let mut sent = 0;
            // No more waits than may be under way.
            loop {
                let (more, _) = send(&mut lane, now);
                sent += more;
                if more == 0 {
                    break;
                }
                fill(&mut lane, now);
            }
            assert!(may_be(window).contains(&sent), "{round_trip_ms} ms: {sent}");
        }
    }
}
