//! How it begins, and what becomes of it while nobody calls.

use super::script::{Driver, check, running};
use crate::runner::{Prefer, Transport};

#[test]
fn at_first_both_are_asked_and_the_preferred_is_waited_for() {
    check(
        Prefer::Iroh,
        "0 wake => wait
         0 tick => ask iroh 1, ask grpc 1
         5 good grpc 1 5 => wait
         20 good iroh 1 20 => iroh",
    );
}

#[test]
fn a_preferred_side_that_refuses_is_passed_over_at_once_and_a_silent_one_after_its_time() {
    check(
        Prefer::Iroh,
        "0 wake => wait
         0 tick => ask iroh 1, ask grpc 1
         5 bad iroh 1 => wait
         6 good grpc 1 6 => grpc",
    );
    check(
        Prefer::Grpc,
        "0 wake => wait
         0 tick => ask iroh 1, ask grpc 1
         5 good iroh 1 5 => wait
         10 tick => ask iroh 2
         11 good iroh 2 1 => wait
         499 ticks => nothing
         499 wake => wait
         500 tick => nothing
         500 wake => iroh",
    );
}

#[test]
fn one_who_has_waited_is_sent_somewhere() {
    let mut driver = Driver::new(Prefer::Iroh);
    for prefer in [Prefer::Iroh, Prefer::Adaptive] {
        assert_eq!(driver.switch.route(prefer, false), None);
        assert_eq!(driver.switch.route(prefer, true), Some(Transport::Iroh));
    }
    driver.check("0 tick => sleep\n0 wake => wait\n0 tick => ask iroh 1, ask grpc 1\n0 good grpc 1 0 => wait");
    assert_eq!(
        driver.switch.route(Prefer::Iroh, true),
        Some(Transport::Grpc)
    );
}

#[test]
fn without_calls_it_sleeps_and_then_finds_out_anew() {
    let mut driver = running(Prefer::Iroh);
    driver.check("50 call iroh => iroh\n60 answer iroh => iroh\n60 tick => nothing");
    for at in (100..5000).step_by(50) {
        driver.check(&format!("{at} tick => nothing"));
    }
    driver.check(
        "5060 tick => nothing
         5060 wake => wait
         5060 tick => ask iroh 3, ask grpc 3",
    );
    let mut driver = running(Prefer::Iroh);
    driver.check("6000 tick => nothing\n6050 tick => sleep\n9000 good grpc 3 1 => wait");
    // One that slipped through while it fell asleep.
    driver.check("9000 call iroh => wait\n9000 tick => ask iroh 3, ask grpc 3");
}

#[test]
fn no_calls_but_one_that_waits_is_no_reason_to_sleep() {
    let mut driver = running(Prefer::Iroh);
    driver.check("50 call iroh => iroh\n50 tick => nothing");
    for at in (200..20_000).step_by(200) {
        let todo = driver.step(&format!("{at} tick"));
        if let Some(question) = todo.strip_prefix("ask ") {
            for question in question.split(", ask ") {
                driver.check(&format!("{at} good {question} 1 => iroh"));
            }
        } else {
            assert_eq!(todo, "nothing", "{at}");
        }
    }
}
