//! When a side that was away is used again.

use super::script::{Driver, running};
use crate::runner::{Prefer, Transport};

#[test]
fn back_after_good_answers_in_a_row_and_no_sooner() {
    let mut driver = running(Prefer::Iroh);
    driver.check(
        "100 call iroh => iroh
         100 refuse iroh => grpc
         100 refuse iroh => grpc
         100 call grpc => grpc
         100 tick => nothing
         600 tick => ask iroh 3
         601 bad iroh 3 => grpc
         1100 answer grpc => grpc
         1110 tick => ask iroh 4
         1111 good iroh 4 1 => grpc
         1611 tick => ask iroh 5
         1612 good iroh 5 1 => grpc
         2112 tick => ask iroh 6
         2113 bad iroh 6 => grpc
         2613 tick => ask iroh 7
         2614 good iroh 7 1 => grpc
         3114 tick => ask iroh 8
         3115 good iroh 8 1 => grpc
         3615 tick => ask iroh 9
         3616 good iroh 9 1 => iroh
         3617 refuse-old iroh => iroh",
    );
}

/// How long the preferred side is away from when it refuses, if it answers every question from then on.
fn away_for(driver: &mut Driver, from: u64) -> u64 {
    driver.check(&format!(
        "{from} call iroh => iroh\n{from} refuse iroh => grpc"
    ));
    let mut at = from;
    loop {
        at += 50;
        driver.step(&format!("{at} call grpc"));
        driver.step(&format!("{at} answer grpc"));
        let todo = driver.step(&format!("{at} tick"));
        if let Some(number) = todo.strip_prefix("ask iroh ") {
            let number = number.split(',').next().unwrap();
            if driver.step(&format!("{at} good iroh {number} 1")) == "iroh" {
                return at - from;
            }
        }
        assert!(at - from < 60_000, "it never comes back");
    }
}

#[test]
fn a_side_that_does_not_hold_is_left_for_longer_each_time() {
    let mut driver = running(Prefer::Iroh);
    let mut now = 1000;
    let mut times = Vec::new();
    for _ in 0..4 {
        let away = away_for(&mut driver, now);
        times.push(away);
        now += away + 1000;
    }
    assert_eq!(times, [1500, 2000, 4000, 4000]);
    driver.busy("iroh", now, now + 10_000);
    assert_eq!(
        away_for(&mut driver, now + 10_000),
        1500,
        "it has held since"
    );
}

#[test]
fn with_both_away_the_preferred_is_tried_and_the_first_to_answer_is_taken() {
    let mut driver = running(Prefer::Iroh);
    driver.check(
        "100 call iroh => iroh
         100 refuse iroh => grpc
         100 call grpc => grpc
         100 refuse grpc => iroh
         100 tick => nothing
         600 tick => ask iroh 3, ask grpc 3
         601 good grpc 3 1 => grpc
         601 bad iroh 3 => grpc",
    );
    let mut driver = running(Prefer::Iroh);
    driver.check(
        "100 call iroh => iroh
         100 refuse iroh => grpc
         100 call grpc => grpc
         100 refuse grpc => iroh
         101 call iroh => iroh
         102 answer iroh => iroh
         102 tick => nothing
         102 refuse grpc => iroh",
    );
    assert!(driver.switch.is_up(Transport::Iroh));
}
