//! What the dashboard draws and the alerts ask for is what a node counts.

use std::{collections::BTreeSet, fs, time::Duration};

use blixard_tests::tools::root;

use super::{Cluster, patiently};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_that_is_named_exists() {
    let cluster = Cluster::start("monitored", 1).await;
    let text = cluster.metrics(1).await;
    assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
    let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let mut counted = BTreeSet::new();
    for (name, kind) in kinds.filter_map(|line| line.split_once(' ')) {
        match kind {
            "histogram" => {
                counted.extend(["bucket", "sum", "count"].map(|end| format!("{name}_{end}")));
            }
            // As OpenMetrics has it: the series of a counter has an ending that its head has not.
            "counter" if !name.ends_with("_total") => drop(counted.insert(format!("{name}_total"))),
            _ => drop(counted.insert(name.to_owned())),
        }
    }
    let folder = root().join("examples/node/monitoring");
    let dashboard = fs::read_to_string(folder.join("dashboard.json")).unwrap();
    let parsed: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    assert!(parsed["panels"].as_array().unwrap().len() > 10);
    let alerts = fs::read_to_string(folder.join("alerts.yml")).unwrap();
    assert!(alerts.matches("- alert: ").count() > 5);
    for (file, text) in [("dashboard.json", dashboard), ("alerts.yml", alerts)] {
        let named = names(&text);
        assert!(named.len() > 5, "{file}: {named:?}");
        for name in named {
            assert!(
                counted.contains(&name),
                "{file} names {name}, of {counted:#?}"
            );
        }
    }

    // What is asked of it otherwise is answered, and harms nobody.
    assert!(cluster.get(1, "/").await.starts_with("HTTP/1.1 404"));
    let serves = async {
        while cluster.count(1, "blixard_node_serving ").await == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    patiently(serves).await;
}

/// All that begins as a metric does.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let metrics = words.filter(|word| word.starts_with("blixard_") || word.starts_with("iroh_"));
    metrics.map(str::to_owned).collect()
}
