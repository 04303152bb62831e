//! What clients did to a few keys and what they saw, and whether one store that does one thing after the other could have shown them that.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use blixard_raft_cluster::client::{Client, Outcome};
use blixard_tests::seed::Seed;
use porcupine_rs::{CheckResult, Model, Operation, check_operations_timeout};
use tokio::{sync::watch, task::JoinSet};

/// One key: it has a value or none.
#[derive(Clone, Debug)]
struct Register;

#[derive(Clone, Debug)]
enum Op {
    Put { key: u64, value: u64 },
    Got { key: u64, value: Option<u64> },
}

impl Op {
    const fn key(&self) -> u64 {
        match self {
            Self::Put { key, .. } | Self::Got { key, .. } => *key,
        }
    }
}

impl Model for Register {
    type State = Option<u64>;
    type Op = Op;
    type Metadata = ();

    fn partition_operations(history: &[Operation<Self>]) -> Vec<Vec<Operation<Self>>> {
        let mut keys: BTreeMap<u64, Vec<Operation<Self>>> = BTreeMap::new();
        for operation in history {
            keys.entry(operation.op.key())
                .or_default()
                .push(operation.clone());
        }
        keys.into_values().collect()
    }

    fn init() -> Option<u64> {
        None
    }

    fn step(state: &Option<u64>, op: &Op) -> (bool, Option<u64>) {
        match op {
            Op::Put { value, .. } => (true, Some(*value)),
            Op::Got { value, .. } => (value == state, *state),
        }
    }
}

/// Clients that put and get a few keys, and note all of it.
pub(crate) struct History {
    operations: Arc<Mutex<Vec<Operation<Register>>>>,
    clients: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl History {
    /// Starts so many clients.
    pub(crate) fn record(client: &Arc<Client>, clients: u32, seed: &mut Seed) -> Self {
        let operations = Arc::default();
        let began = Instant::now();
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for id in 0..clients {
            let (client, operations) = (Arc::clone(client), Arc::clone(&operations));
            tasks.spawn(one(
                client,
                id,
                seed.branch(),
                began,
                operations,
                stopped.clone(),
            ));
        }
        Self {
            operations,
            clients: tasks,
            stop,
        }
    }

    /// Lets the clients end, and judges: the number of operations that were acknowledged, and of those nobody knows of.
    ///
    /// # Panics
    /// If no order explains what was seen, or none was found in a minute.
    pub(crate) async fn judge(mut self) -> (usize, usize) {
        self.stop.send_replace(true);
        while let Some(ended) = self.clients.join_next().await {
            ended.unwrap();
        }
        let operations = std::mem::take(&mut *self.operations.lock().unwrap());
        let unclear = operations
            .iter()
            .filter(|it| it.return_time == NEVER)
            .count();
        // A minute is long: a check takes milliseconds, unless there is no order.
        let checked = tokio::task::spawn_blocking(move || {
            (
                check_operations_timeout(&operations, Duration::from_secs(60)),
                operations,
            )
        });
        let (result, operations) = checked.await.unwrap();
        if result != CheckResult::Ok {
            for operation in &operations {
                println!("{operation:?}");
            }
            panic!("the history is not linearizable: {result:?}");
        }
        (operations.len() - unclear, unclear)
    }
}

async fn one(
    client: Arc<Client>,
    id: u32,
    mut seed: Seed,
    began: Instant,
    operations: Arc<Mutex<Vec<Operation<Register>>>>,
    mut stopped: watch::Receiver<bool>,
) {
    let now = || i64::try_from(began.elapsed().as_nanos()).unwrap();
    let mut number = 0_u64;
    while !*stopped.borrow() {
        let key = seed.within(0..KEYS);
        let name = format!("register/{key}");
        let call_time = now();
        let done = if seed.within(0..2) == 0 {
            // Never the same value twice.
            number += 1;
            let value = u64::from(id) << 32 | number;
            let op = Op::Put { key, value };
            match client.try_put(&name, &value.to_string()).await {
                Outcome::Done => Some((op, now())),
                Outcome::Unclear(_) => Some((op, NEVER)),
                Outcome::NotDone(_) => None,
            }
        } else {
            match client.try_get(&name).await {
                Ok(value) => {
                    let value = value.map(|it| it.parse().unwrap());
                    Some((Op::Got { key, value }, now()))
                }
                Err(_) => None,
            }
        };
        if let Some((op, return_time)) = done {
            operations.lock().unwrap().push(Operation {
                client_id: Some(id),
                call_time,
                return_time,
                op,
                metadata: None,
            });
        }
        // So many that there is something to find, and so few that it can be.
        let pause = Duration::from_millis(seed.within(1..10));
        let _ = tokio::time::timeout(pause, stopped.changed()).await;
    }
}

/// Of what has not returned: it may happen at any time.
const NEVER: i64 = i64::MAX;
const KEYS: u64 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(history: &[(i64, i64, Op)], expected: CheckResult) {
        let operations: Vec<_> = history
            .iter()
            .map(|(call_time, return_time, op)| Operation::<Register> {
                client_id: None,
                call_time: *call_time,
                return_time: *return_time,
                op: op.clone(),
                metadata: None,
            })
            .collect();
        let found = check_operations_timeout(&operations, Duration::from_secs(10));
        assert_eq!(found, expected, "{history:?}");
    }

    #[test]
    fn the_judge_sees_what_is_wrong() {
        let put = |value| Op::Put { key: 0, value };
        let got = |value| Op::Got { key: 0, value };
        check(&[(0, 1, put(1)), (2, 3, got(Some(1)))], CheckResult::Ok);
        // A write that was acknowledged and is lost; a read of what was before.
        check(&[(0, 1, put(1)), (2, 3, got(None))], CheckResult::Illegal);
        check(
            &[(0, 1, put(1)), (2, 3, put(2)), (4, 5, got(Some(1)))],
            CheckResult::Illegal,
        );
        // Nobody knows of it: it may have happened, and it may not have; but not undone.
        check(
            &[(0, NEVER, put(1)), (2, 3, got(None)), (4, 5, got(Some(1)))],
            CheckResult::Ok,
        );
        check(
            &[(0, NEVER, put(1)), (2, 3, got(Some(1))), (4, 5, got(None))],
            CheckResult::Illegal,
        );
    }
}
