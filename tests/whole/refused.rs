//! Files that are wrong, and callers who may not.

use std::path::Path;

use blixard_node::config::NodeConfig;
use blixard_rpc::{
    Channel, Code, Pool,
    transport::iroh::{IrohConnector, SecretKey, bind, presets},
};
use blixard_services::node::{NodeHealth, NodeHealthClient};

use super::{Cluster, patiently};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_goes_on_with_what_it_has() {
    let cluster = Cluster::start("refused", 1).await;
    let file = cluster.file(1);
    let right = std::fs::read_to_string(&file).unwrap();
    for (from, to, says) in [
        (
            "carry = \"grpc\"             # \"g",
            "carry = \"tcp\"  # \"g",
            "migration.carry = \"tcp\"",
        ),
        ("[raft]", "[raft]\nwindow = 3", "unknown field `window`"),
        ("id = 1\ndata", "id = 4\ndata", "node.id = 4: no member"),
        (
            "client_authorities_file",
            "# ",
            "grpc.tls.client_authorities_file",
        ),
        ("[vm]", "[machines]", "machines"),
    ] {
        cluster.write(1, |text| text.replacen(from, to, 1));
        let error = NodeConfig::load(Path::new(&file)).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        cluster.reload(1, "refused").await;
        std::fs::write(&file, &right).unwrap();
    }
    assert!(
        cluster
            .metrics(1)
            .await
            .contains("blixard_node_last_reload_refused 1")
    );
    cluster.client.put("still", "here").await;
    cluster.reload(1, "done").await;
    assert!(
        cluster
            .metrics(1)
            .await
            .contains("blixard_node_last_reload_refused 0")
    );

    // Whose key nobody has named.
    cluster.write(1, |text| {
        text.replacen("carry = \"grpc\"", "carry = \"both\"", 1)
    });
    cluster.reload(1, "done").await;
    let endpoint = bind(presets::Minimal, SecretKey::generate()).await.unwrap();
    let pool = Pool::new(IrohConnector::new(endpoint));
    let channel = Channel::new(pool.channel(cluster.layout.members[0].peer()));
    let stranger = NodeHealthClient::new(channel);
    let status = patiently(stranger.check()).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied, "{status}");
}
