//! The show: what a cluster goes through in half a minute, with a table to watch, and a check at the end.

use std::{
    error::Error,
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use tokio::time::{interval, sleep};

use crate::{
    api::Node,
    client::Client,
    layout::Layout,
    load::{Book, Load, Measured},
    process::Processes,
    table::Table,
};

/// How many write at once.
const WRITERS: usize = 32;
const VALUE_BYTES: usize = 64;

/// Runs the show to its end.
///
/// # Errors
/// If a node does not do what it should, or a write that was acknowledged is not there.
pub async fn run(node: Vec<String>) -> Result<(), Box<dyn Error>> {
    let folder = Folder::new();
    let layout = Layout::create(&folder.0, 3)?;
    println!(
        "Three nodes, each a process with a key and files of its own, below {}.",
        folder.0.display()
    );
    println!(
        "They replicate a key-value store by Raft; a write is acknowledged when a majority has it on its disks.\n"
    );
    let mut processes = Processes::new(node);
    for member in &layout.members {
        processes.start(&layout, member.id).await?;
    }
    let client = Arc::new(Client::new(&layout).await?);
    client.node(1)?.begin(vec![1, 2, 3]).await?;
    let mut show = Show {
        leader: elected(&client, None).await?,
        layout,
        processes,
        client,
        table: Table::default(),
    };
    println!("Node {} was elected.\n", show.leader);

    println!(
        "{WRITERS} clients write {VALUE_BYTES} bytes each, one write after the other, over iroh:"
    );
    let load = Load::start(&show.client, WRITERS, VALUE_BYTES);
    let book = Arc::clone(load.book());
    let calm = show.watch(&book, 4).await?;

    let killed = show.leader;
    println!("\nNode {killed}, which leads, is killed with SIGKILL:");
    let moment = book.now();
    show.processes.kill(killed).await?;
    show.leader = elected(&show.client, Some(killed)).await?;
    let without = show.watch(&book, 3).await?;
    let recovered = book
        .first_after(moment + IN_FLIGHT)
        .ok_or("nothing was written after the leader was killed")?
        .saturating_sub(moment);
    println!(
        "  Node {} was elected; the first write after the kill was acknowledged {} later.",
        show.leader,
        ms(recovered)
    );

    println!("\nNode {killed} is started again, and catches up:");
    let started = Instant::now();
    show.processes.start(&show.layout, killed).await?;
    show.caught_up(killed).await?;
    let caught_up = started.elapsed();
    show.watch(&book, 3).await?;
    println!("  It had all of it after {}.", ms(caught_up));

    let mut switched = Vec::new();
    for mode in ["dual", "grpc"] {
        println!("\nAll nodes now send over {mode}, while the clients go on writing:");
        let moment = book.now();
        for member in &show.layout.members {
            show.client.node(member.id)?.carry(mode.to_owned()).await?;
        }
        show.watch(&book, 4).await?;
        switched.push((mode, book.measured(moment, book.now())));
    }

    println!("\nThe clients stop. Is every write there that was acknowledged?");
    let book = load.stop().await;
    let found = check(&show.client, &show.layout, &book).await?;
    println!(
        "  Yes: each of {} writes is on each of 3 nodes, and reads through the leader agree.\n",
        found
    );

    println!("In short");
    let line = |what: &str, measured: &Measured| {
        println!(
            "  {what:<34} {:>7.0} writes/s, half within {}, 99 % within {}, longest pause {}",
            measured.rate(),
            ms(measured.median),
            ms(measured.p99),
            ms(measured.longest_gap)
        );
    };
    line("over iroh", &calm);
    line("with two nodes of three", &without);
    for (mode, measured) in &switched {
        line(&format!("switching to {mode}, and on it"), measured);
    }
    println!(
        "  {:<34} {}",
        "leader killed, until the next write",
        ms(recovered)
    );
    println!("  {:<34} {found}, none lost", "writes acknowledged");
    Ok(())
}

struct Show {
    layout: Layout,
    processes: Processes,
    client: Arc<Client>,
    table: Table,
    leader: u64,
}

impl Show {
    /// Draws the table for so many seconds, and answers what was written meanwhile.
    async fn watch(&mut self, book: &Book, seconds: u32) -> Result<Measured, Box<dyn Error>> {
        let mut ticks = interval(Duration::from_secs(1));
        ticks.tick().await;
        let (from, mut before) = (book.now(), book.count());
        for _ in 0..seconds {
            ticks.tick().await;
            let statuses = self.client.statuses().await;
            let now = book.count();
            let note = format!("{} writes/s, {now} acknowledged", now - before);
            before = now;
            self.table.draw(&self.layout, &statuses, &note)?;
        }
        self.table.keep();
        Ok(book.measured(from, book.now()))
    }

    /// Waits until a node has applied what is committed now.
    async fn caught_up(&self, id: u64) -> Result<(), Box<dyn Error>> {
        let end = self.client.node(self.leader)?.status().await?.committed;
        applied(&self.client, id, end).await
    }
}

/// Reads all that was acknowledged: on each node as it has it, and some of it through the leader.
///
/// # Errors
/// If something is not there, or is something else.
pub async fn check(client: &Client, layout: &Layout, book: &Book) -> Result<usize, Box<dyn Error>> {
    let acknowledged = book.acknowledged();
    let leader = elected(client, None).await?;
    let end = client.node(leader)?.status().await?.committed;
    for member in &layout.members {
        applied(client, member.id, end).await?;
        let node = &client.node(member.id)?;
        let mut found = stream::iter(&acknowledged)
            .map(|(key, value)| async move { (key, value, node.local(key.clone()).await) })
            .buffer_unordered(READS);
        while let Some((key, value, found)) = found.next().await {
            let found = found?.value;
            if found.as_ref() != Some(value) {
                return Err(format!(
                    "LOST: node {} has {found:?} at {key}, and not {value:?}",
                    member.id
                )
                .into());
            }
        }
    }
    let step = (acknowledged.len() / 500).max(1);
    for (key, value) in acknowledged.iter().step_by(step) {
        let found = client.get(key).await;
        if found.as_ref() != Some(value) {
            return Err(
                format!("LOST: the leader has {found:?} at {key}, and not {value:?}").into(),
            );
        }
    }
    Ok(acknowledged.len())
}

/// Waits until a node leads, another than `not`.
///
/// # Errors
/// If none does however often it is looked.
pub async fn elected(client: &Client, not: Option<u64>) -> Result<u64, Box<dyn Error>> {
    for _ in 0..POLLS {
        if let Some(leader) = client.leader().await
            && Some(leader) != not
        {
            return Ok(leader);
        }
        sleep(POLL).await;
    }
    Err(format!("no node was elected: {:#?}", client.statuses().await).into())
}

/// Waits until a node has applied all up to `end`.
///
/// # Errors
/// If it has not however often it is looked.
pub async fn applied(client: &Client, id: u64, end: Option<u64>) -> Result<(), Box<dyn Error>> {
    let mut last = None;
    for _ in 0..POLLS {
        if let Ok(status) = client.node(id)?.status().await {
            if status.applied >= end {
                return Ok(());
            }
            last = status.applied;
        }
        sleep(POLL).await;
    }
    Err(format!("node {id} has applied {last:?}, and not {end:?}").into())
}

/// A folder that goes when the show is over.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("raft_cluster-{}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

/// Answers that the killed leader had already sent may come so long after it was killed.
const IN_FLIGHT: Duration = Duration::from_millis(20);
/// How often is looked: not for how long, since a machine may stand still for a while.
const POLLS: u32 = 3000;
const POLL: Duration = Duration::from_millis(10);
const READS: usize = 256;
