//! Measures writes on three processes over each transport: `-- bench [SECONDS] [WRITERS]`.

use std::{error::Error, fs, sync::Arc, time::Duration};

use tokio::time::sleep;

use crate::{
    api::Node,
    client::Client,
    layout::Layout,
    load::Load,
    process::Processes,
    show::{check, elected},
};

/// Runs it.
///
/// # Errors
/// If a node does not do what it should, or a write that was acknowledged is not there.
pub async fn run(node: Vec<String>, options: &[&str]) -> Result<(), Box<dyn Error>> {
    let number =
        |place: usize, default: u64| options.get(place).map_or(Ok(default), |it| it.parse());
    let (seconds, writers) = (number(0, 5)?, number(1, 256)?);
    let folder = std::env::temp_dir().join(format!("raft_cluster-bench-{}", std::process::id()));
    println!(
        "three processes on this machine, {writers} clients, 64 bytes, on the disk before it is acknowledged"
    );
    println!(
        "{:<6} {:>9} {:>10} {:>10}",
        "over", "writes/s", "p50", "p99"
    );
    for mode in ["iroh", "dual", "grpc"] {
        let layout = Layout::create(&folder.join(mode), 3)?;
        let mut processes = Processes::new(node.clone());
        for member in &layout.members {
            processes.start(&layout, member.id).await?;
        }
        let client = Arc::new(Client::new(&layout).await?);
        for member in &layout.members {
            client.node(member.id)?.carry(mode.to_owned()).await?;
        }
        client.node(1)?.begin(vec![1, 2, 3]).await?;
        elected(&client, None).await?;
        let load = Load::start(&client, writers as usize, 64);
        // Until all are connected.
        sleep(Duration::from_secs(1)).await;
        let from = load.book().now();
        sleep(Duration::from_secs(seconds)).await;
        let measured = load.book().measured(from, load.book().now());
        let book = load.stop().await;
        check(&client, &layout, &book).await?;
        println!(
            "{mode:<6} {:>9.0} {:>7.1} ms {:>7.1} ms",
            measured.rate(),
            measured.median.as_secs_f64() * 1000.0,
            measured.p99.as_secs_f64() * 1000.0
        );
    }
    fs::remove_dir_all(folder)?;
    Ok(())
}
