//! The choice of the faster side.

use super::script::{Driver, check};
use crate::runner::{Prefer, Transport};

#[test]
fn the_adaptive_choice_begins_with_who_answers_first() {
    check(
        Prefer::Adaptive,
        "0 wake => wait
         0 tick => ask iroh 1, ask grpc 1
         5 good grpc 1 5 => grpc
         6 good iroh 1 6 => grpc",
    );
    check(
        Prefer::Adaptive,
        "0 wake => wait
         0 tick => ask iroh 1, ask grpc 1
         5 bad grpc 1 => wait
         6 bad iroh 1 => iroh",
    );
}

/// The questions of some seconds, answered in these milliseconds; the times at which the choice changed.
fn timed(driver: &mut Driver, from: u64, to: u64, iroh: u64, grpc: u64) -> Vec<(u64, String)> {
    let mut changes = Vec::new();
    let mut route = driver.step(&format!("{from} wake"));
    for at in (from..to).step_by(50) {
        driver.step(&format!("{at} call {route}"));
        driver.step(&format!("{at} answer {route}"));
        let todo = driver.step(&format!("{at} tick"));
        for asked in todo
            .split(", ")
            .filter_map(|part| part.strip_prefix("ask "))
        {
            let took = if asked.starts_with("iroh") {
                iroh
            } else {
                grpc
            };
            let now = driver.step(&format!("{at} good {asked} {took}"));
            if now != route {
                changes.push((at, now.clone()));
                route = now;
            }
        }
    }
    changes
}

#[test]
fn the_adaptive_choice_changes_for_what_is_faster_by_the_threshold() {
    let none: [(u64, String); 0] = [];
    let start = || {
        let mut driver = Driver::new(Prefer::Adaptive);
        driver.check("0 wake => wait\n0 tick => ask iroh 1, ask grpc 1\n1 good iroh 1 1 => iroh\n1 good grpc 1 1 => iroh");
        driver
    };
    // Faster by less than 2 ms; then by less than a quarter.
    assert_eq!(timed(&mut start(), 50, 20_000, 3, 2), none);
    assert_eq!(timed(&mut start(), 50, 20_000, 100, 80), none);
    let mut driver = start();
    let changes = timed(&mut driver, 50, 20_000, 100, 50);
    assert_eq!(changes, [(1050, "grpc".to_owned())], "at the third time");
    // It stays there until it is the slower one by as much, and does not flap in between.
    assert_eq!(timed(&mut driver, 20_000, 40_000, 50, 50), none);
    assert_eq!(timed(&mut driver, 40_000, 60_000, 45, 50), none);
    let changes = timed(&mut driver, 60_000, 80_000, 10, 50);
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].1, "iroh");
}

#[test]
fn the_adaptive_choice_leaves_a_side_that_is_away_and_does_not_come_back_for_nothing() {
    let mut driver = Driver::new(Prefer::Adaptive);
    driver.check(
        "0 wake => wait
         0 tick => ask iroh 1, ask grpc 1
         1 good iroh 1 1 => iroh
         1 good grpc 1 1 => iroh
         50 call iroh => iroh
         50 refuse iroh => grpc",
    );
    let changes = timed(&mut driver, 100, 20_000, 10, 10);
    assert!(changes.is_empty(), "{changes:?}");
    assert!(driver.switch.is_up(Transport::Iroh), "it is back");
    driver.check("20000 call grpc => grpc\n20000 refuse grpc => iroh");
}
