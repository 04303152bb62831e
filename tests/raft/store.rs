//! The other process of `killed_store.rs`: goes on writing to a member's stores, and says what it was told is safe.

use std::{
    env,
    error::Error,
    io::{self, Write},
};

use blixard_raft_transport::openraft::{Machine, State, StoreOptions, Types, open};
use openraft::{
    Entry, EntryPayload, LogId, RaftSnapshotBuilder, Vote,
    entry::RaftEntry,
    impls::leader_id_std::LeaderId,
    storage::{RaftLogReader, RaftLogStorage, RaftLogStorageExt, RaftStateMachine},
    vote::RaftLeaderIdExt,
};

/// Keeps the last text, and how many there were.
struct Last;

impl Machine for Last {
    type Command = String;
    type Answer = ();

    fn apply(&self, state: &mut State<'_>, text: String) -> io::Result<()> {
        let count = state.get(b"count")?.map_or(0, |it| {
            u64::from_be_bytes(it.try_into().unwrap_or_default())
        });
        state.put(b"count", &(count + 1).to_be_bytes())?;
        state.put(format!("{count:09}").as_bytes(), text.as_bytes())
    }
}

type C = Types<Last>;

/// What entry there is at an index: who reads it knows whether it is the one that was written.
fn text(index: u64) -> String {
    let length = (index * 7919 % 300) as usize;
    format!("{index}:{}", "x".repeat(length))
}

fn log_id(term: u64, index: u64) -> LogId<openraft::type_config::alias::CommittedLeaderIdOf<C>> {
    LogId::new(LeaderId::new_committed(term, 1), index)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [command, folder] = &arguments[..] else {
        return Err("usage: raft_store write|check <FOLDER>".into());
    };
    let (mut log, mut state) = open(folder, Last, &StoreOptions::default())?;
    let found = log.get_log_state().await?;
    let vote = log.get_log_reader().await.read_vote().await?;
    let (applied, _) = state.applied_state().await?;
    // A state that is behind the snapshot takes it, as the engine would.
    if let Some(snapshot) = state.get_current_snapshot().await?
        && snapshot.meta.last_log_id > applied
    {
        state
            .install_snapshot(&snapshot.meta, snapshot.snapshot)
            .await?;
    }
    let (applied, _) = state.applied_state().await?;
    let first = found.last_purged_log_id.map_or(0, |it| it.index + 1);
    let next = found.last_log_id.map_or(0, |it| it.index + 1);

    // What is there is what was written, without a hole, and what was applied is what the log says.
    let entries = log
        .get_log_reader()
        .await
        .try_get_log_entries(first..next)
        .await?;
    if entries.len() as u64 != next - first {
        return Err(format!("{} entries in {first}..{next}", entries.len()).into());
    }
    for (entry, index) in entries.iter().zip(first..) {
        let right = matches!(&entry.payload, EntryPayload::Normal(found) if *found == text(index));
        if entry.log_id.index != index || !right {
            return Err(format!("at {index} is {entry:?}").into());
        }
    }
    let done = applied.map_or(0, |it| it.index + 1);
    if done < first {
        return Err(format!("purged up to {first}, but only {done} are applied").into());
    }
    let view = state.reader().view()?;
    let count = view.get(b"count")?.map_or(0, |it| {
        u64::from_be_bytes(it.try_into().unwrap_or_default())
    });
    if count != done {
        return Err(format!("{done} were applied, and {count} counted").into());
    }
    for index in done.saturating_sub(200)..done {
        if view.get(format!("{index:09}").as_bytes())? != Some(text(index).into_bytes()) {
            return Err(format!("the state has not what was applied at {index}").into());
        }
    }
    drop(view);
    let term = vote.map_or(0, |vote: Vote<_>| vote.leader_id.term);
    println!("found {next} {term} {first} {done}");
    if command == "check" {
        return Ok(());
    }

    let mut out = io::stdout().lock();
    let (mut next, mut applied) = (next, done);
    for turn in 1_u64.. {
        let batch = 1 + next % 9;
        let entries: Vec<_> = (next..next + batch)
            .map(|index| Entry::new(log_id(1, index), EntryPayload::Normal(text(index))))
            .collect();
        log.blocking_append(entries.clone()).await?;
        next += batch;
        writeln!(out, "entries {next}")?;
        let lag = next.saturating_sub(3);
        if lag > applied {
            log.save_committed(Some(log_id(1, lag - 1))).await?;
            let ready = log
                .get_log_reader()
                .await
                .try_get_log_entries(applied..lag)
                .await?;
            state
                .apply(futures_util::stream::iter(
                    ready.into_iter().map(|entry| Ok((entry, None))),
                ))
                .await?;
            applied = lag;
        }
        if turn % 5 == 0 {
            log.save_vote(&Vote::new(term + turn, 1)).await?;
            writeln!(out, "term {}", term + turn)?;
        }
        if turn % 13 == 0 {
            state.get_snapshot_builder().await.build_snapshot().await?;
            log.purge(log_id(1, applied - 1)).await?;
            writeln!(out, "purged {applied}")?;
        }
        out.flush()?;
    }
    Ok(())
}
