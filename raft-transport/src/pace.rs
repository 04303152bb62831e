//! [`Pace`]: how much of a snapshot may be under way, by how busy the log is. Pure: the time is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// How many chunks may be under way while nothing else is: so many are sent again at most after a cut.
pub(crate) const WINDOW_CHUNKS: u32 = 8;

/// How much of a snapshot may be under way, by how busy the log is.
///
/// A snapshot takes what it can get of processors, sockets and disks, which know no priorities: what is urgent waits behind all of it
/// that is under way. So while there is a message of the log in each millisecond, to or from anyone, one chunk is under way at a time, and
/// after each there is a pause as long as it took.
#[derive(Debug)]
pub(crate) struct Pace {
    /// How many messages of the log there had been at the last look.
    messages: u64,
    looked: Instant,
    is_busy: bool,
}

impl Pace {
    /// So many messages of the log there have been until now, to and from all members.
    pub(crate) const fn new(now: Instant, messages: u64) -> Self {
        Self {
            messages,
            looked: now,
            is_busy: false,
        }
    }

    /// How many chunks may be under way, with the next one, if there were so many messages until now. Ask once for each.
    pub(crate) fn chunks(&mut self, now: Instant, messages: u64) -> u32 {
        let more = messages.saturating_sub(self.messages);
        let millis = now.saturating_duration_since(self.looked).as_millis();
        (self.messages, self.looked) = (messages, now);
        self.is_busy = u128::from(more) > millis;
        if self.is_busy { 1 } else { WINDOW_CHUNKS }
    }

    /// How long to wait before the next chunk, when the one before has taken so long.
    pub(crate) fn pause(&self, took: Duration) -> Duration {
        if self.is_busy {
            took.min(LONGEST_PAUSE)
        } else {
            Duration::ZERO
        }
    }
}

/// What takes longer waits for the wire, and not for a processor.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_snapshot_gives_way_to_a_log_that_is_busy() {
        let start = Instant::now();
        let mut pace = Pace::new(start, 100);
        for (after_ms, messages, chunks) in [
            (10, 100, WINDOW_CHUNKS),
            (20, 110, WINDOW_CHUNKS),
            (30, 121, 1),
            (31, 200, 1),
            (131, 300, WINDOW_CHUNKS),
            // Members were removed, and what was counted of them with them.
            (132, 0, WINDOW_CHUNKS),
            (133, 10, 1),
        ] {
            let now = start + Duration::from_millis(after_ms);
            assert_eq!(pace.chunks(now, messages), chunks, "{after_ms} ms");
            for took_ms in [0, 7, 20, 100] {
                let pause = pace.pause(Duration::from_millis(took_ms)).as_millis();
                let expected = if chunks == 1 { took_ms.min(20) } else { 0 };
                assert_eq!(pause, u128::from(expected), "{after_ms} ms");
            }
        }
    }
}
