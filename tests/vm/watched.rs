//! Watching: all that is there, then each change in its order; and from a version on, or a clear answer.

use std::time::Duration;

use blixard_rpc::{Code, Streaming};
use blixard_services::vm::{
    Change, HealthCheck, MAX_CHANGES_KEPT, Probe, Vm, VmEvent, VmState, Vms, WatchResponse,
    machine::STEPS,
};
use blixard_tests::net::soon;

use crate::node::{Node, nano, until_gone};
use VmState::{Created, Deleting, Running, Starting, Stopped, Stopping};

async fn next(events: &mut Streaming<WatchResponse>) -> WatchResponse {
    soon(events.next()).await.unwrap().unwrap()
}

#[tokio::test]
async fn every_state_is_seen_in_order() {
    let Some(node) = Node::new().await else {
        return;
    };
    let mut events = node.vms.watch(None).await.unwrap();
    assert_eq!(next(&mut events).await.event, VmEvent::Synced);
    node.running("a").await;
    let change = Change::default;
    let zero = Some(Duration::ZERO);
    node.vms.restart("a".into(), zero, change()).await.unwrap();
    let mut seen: Vec<Vm> = Vec::new();
    let mut version = 0;
    let mut starts = 0;
    loop {
        let item = next(&mut events).await;
        assert_eq!(item.version, version + 1, "none is left out");
        version = item.version;
        match item.event {
            VmEvent::Changed(vm) => {
                assert_eq!(vm.version, version);
                let before = seen.last().map(|vm| vm.state);
                if let Some(before) = before
                    && before != vm.state
                {
                    let step = (before, Some(vm.state));
                    assert!(STEPS.contains(&step), "{step:?}");
                }
                if vm.state == Running && before != Some(Running) {
                    starts += 1;
                    if starts == 2 {
                        node.vms.delete("a".into(), true, change()).await.unwrap();
                    }
                }
                seen.push(*vm);
            }
            VmEvent::Removed(name) => {
                assert_eq!(name, "a");
                break;
            }
            event => panic!("{event:?}"),
        }
    }
    let mut states: Vec<VmState> = seen.iter().map(|vm| vm.state).collect();
    states.dedup();
    let expected = [
        Created, Starting, Running, Stopping, Stopped, Starting, Running, Stopping, Stopped,
        Deleting,
    ];
    assert_eq!(states, expected);

    // Whoever comes later gets the same from where it left.
    let mut late = node.vms.watch(Some(seen[2].version)).await.unwrap();
    for vm in &seen[3..] {
        assert_eq!(
            next(&mut late).await.event,
            VmEvent::Changed(Box::new(vm.clone()))
        );
    }
    assert_eq!(next(&mut late).await.event, VmEvent::Removed("a".into()));
}

#[tokio::test]
async fn a_version_that_is_too_old_or_of_other_records_is_said() {
    let Some(node) = Node::new().await else {
        return;
    };
    let change = Change::default;
    node.vms.create("a".into(), nano(), change()).await.unwrap();
    let version = node.vms.list(String::new()).await.unwrap().version;
    let mut ahead = node.vms.watch(Some(version + 1)).await.unwrap_err();
    assert_eq!(ahead.code(), Code::OutOfRange);
    // After a restart the changes before it are not known, but where it was left can be gone on from.
    let node = node.again().await;
    ahead = node.vms.watch(Some(version - 1)).await.unwrap_err();
    assert_eq!(ahead.code(), Code::OutOfRange);
    assert!(
        ahead.message().contains("watch again without a version"),
        "{ahead}"
    );
    let mut events = node.vms.watch(Some(version)).await.unwrap();
    node.vms.delete("a".into(), false, change()).await.unwrap();
    assert_eq!(next(&mut events).await.version, version + 1);
    until_gone(&node.vms, "a").await;
}

#[tokio::test]
async fn a_reader_who_is_too_slow_is_told() {
    let Some(node) = Node::new().await else {
        return;
    };
    let change = Change::default;
    node.vms.create("a".into(), nano(), change()).await.unwrap();
    let mut slow = node.vms.watch(None).await.unwrap();
    let check = |number: usize| HealthCheck {
        name: format!("c{number}"),
        probe: Probe::Process,
        interval: Duration::ZERO,
        timeout: Duration::ZERO,
        failures: 0,
        successes: 0,
        disabled: false,
    };
    let mut made = 0;
    while made <= MAX_CHANGES_KEPT {
        // Many at once share a commit.
        let all = (0..8).map(|number| {
            let vms = node.vms.clone();
            async move {
                let added = vms.add_health_check("a".into(), check(number), Change::default());
                let added = added.await.unwrap().changed;
                let name = format!("c{number}");
                let removed = vms.remove_health_check("a".into(), name, Change::default());
                usize::from(added) + usize::from(removed.await.unwrap().changed)
            }
        });
        made += futures_util::future::join_all(all)
            .await
            .iter()
            .sum::<usize>();
    }
    let told = loop {
        match soon(slow.next()).await.unwrap() {
            Ok(_) => {}
            Err(status) => break status,
        }
    };
    assert_eq!(told.code(), Code::OutOfRange);
    assert!(soon(slow.next()).await.is_none());
}
