//! The queue beside a list that is searched from one end to the other each time.

#![allow(clippy::unwrap_used, reason = "tests say where they fail")]

use std::time::Duration;

use blixard_raft_transport::{
    MAX_BATCH_BYTES, MAX_BATCH_MESSAGES, QueueLimits, RaftMessage,
    queue::{Full, Queue},
};
use proptest::prelude::*;
use tokio::time::Instant;

const STALE_AFTER: Duration = Duration::from_millis(100);

#[derive(Clone, Debug)]
enum Do {
    Push { bytes: usize },
    PushNewest { key: u64, bytes: usize },
    Take,
    Expire,
    Clear,
    Wait { ms: u64 },
}

fn anything() -> impl Strategy<Value = Do> {
    let bytes = prop_oneof![8 => 0..50_usize, 1 => Just(MAX_BATCH_BYTES / 2), 1 => Just(MAX_BATCH_BYTES + 1)];
    prop_oneof![
        6 => bytes.clone().prop_map(|bytes| Do::Push { bytes }),
        6 => (0..4_u64, bytes).prop_map(|(key, bytes)| Do::PushNewest { key, bytes }),
        2 => Just(Do::Take),
        1 => Just(Do::Expire),
        1 => (0..60_u64).prop_map(|ms| Do::Wait { ms }),
        1 => Just(Do::Clear),
    ]
}

/// The list: message number, key, when, bytes.
#[derive(Default)]
struct Model(Vec<(u64, Option<u64>, Instant, usize)>);

impl Model {
    fn bytes(&self) -> usize {
        self.0.iter().map(|(.., bytes)| bytes).sum()
    }

    fn is_stale(queued: Instant, now: Instant) -> bool {
        now - queued >= STALE_AFTER
    }
}

proptest! {
    #[test]
    fn it_does_what_a_list_does(
        messages in 1..20_usize,
        bytes in prop_oneof![1..300_usize, Just(3 * MAX_BATCH_BYTES)],
        steps in prop::collection::vec(anything(), 0..200),
    ) {
        let limits = QueueLimits { messages, bytes };
        let mut queue = Queue::new(limits, STALE_AFTER, Duration::ZERO);
        let mut model = Model::default();
        let mut now = Instant::now();
        for (number, step) in (0_u64..).zip(steps) {
            let message = |bytes| RaftMessage::new(number, vec![0; bytes]);
            match step {
                Do::Push { bytes } => {
                    let fits = model.0.len() < limits.messages
                        && (model.0.is_empty() || model.bytes() + bytes <= limits.bytes);
                    prop_assert_eq!(queue.push(now, message(bytes)), if fits { Ok(()) } else { Err(Full) });
                    if fits {
                        model.0.push((number, None, now, bytes));
                    }
                }
                Do::PushNewest { key, bytes } => {
                    let place = model.0.iter().position(|(_, of, ..)| *of == Some(key));
                    let expected = match place {
                        Some(place) => {
                            let others = model.bytes() - model.0[place].3;
                            if others + bytes > limits.bytes && model.0.len() > 1 {
                                Err(Full)
                            } else {
                                model.0[place] = (number, Some(key), now, bytes);
                                Ok(true)
                            }
                        }
                        None if model.0.len() < limits.messages
                            && (model.0.is_empty() || model.bytes() + bytes <= limits.bytes) =>
                        {
                            model.0.push((number, Some(key), now, bytes));
                            Ok(false)
                        }
                        None => Err(Full),
                    };
                    prop_assert_eq!(queue.push_newest(now, key, message(bytes)), expected);
                }
                Do::Take => {
                    let (mut batch, mut stale, mut all) = (Vec::new(), 0, 0);
                    while let Some(&(number, _, queued, bytes)) = model.0.first() {
                        if batch.len() == MAX_BATCH_MESSAGES {
                            break;
                        }
                        if Model::is_stale(queued, now) {
                            stale += 1;
                        } else if !batch.is_empty() && all + bytes > MAX_BATCH_BYTES {
                            break;
                        } else {
                            all += bytes;
                            batch.push(number);
                        }
                        model.0.remove(0);
                    }
                    let (taken, dropped) = queue.take(now);
                    let taken: Vec<u64> = taken.iter().map(|message| message.term).collect();
                    prop_assert_eq!((taken, dropped), (batch, stale));
                }
                Do::Expire => {
                    let stale = model.0.iter().take_while(|(_, _, queued, _)| Model::is_stale(*queued, now));
                    let stale = stale.count();
                    model.0.drain(..stale);
                    prop_assert_eq!(queue.expire(now), stale);
                }
                Do::Clear => {
                    prop_assert_eq!(queue.clear(), model.0.len());
                    model.0.clear();
                }
                Do::Wait { ms } => now += Duration::from_millis(ms),
            }
            prop_assert_eq!((queue.len(), queue.bytes()), (model.0.len(), model.bytes()));
            prop_assert_eq!(queue.is_empty(), model.0.is_empty());
            let first = model.0.first().map(|(_, _, queued, _)| *queued);
            prop_assert_eq!(queue.stale_at(), first.map(|queued| queued + STALE_AFTER));
            prop_assert_eq!(queue.ready_at(), first);
        }
    }
}
