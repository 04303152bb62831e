//! A cluster of three processes that replicate a key-value store, lose their leader and change transports under load.
//!
//! `cargo run --release --example raft_cluster` shows it; `-- node <FOLDER> <ID>` runs one node, `-- bench` measures.

use std::{env, error::Error, path::Path};

use blixard_raft_cluster::{bench, node, show};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let this = env::current_exe()?.to_string_lossy().into_owned();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] => show::run(vec![this, "node".to_owned()]).await,
            ["node", folder, id] => node::run(Path::new(folder), id.parse()?)
                .await
                .map_err(|failure| failure as Box<dyn Error>),
            ["bench", ref options @ ..] => bench::run(vec![this, "node".to_owned()], options).await,
            _ => Err("usage: raft_cluster [node <FOLDER> <ID> | bench [SECONDS] [WRITERS]]".into()),
        }
    })
}
