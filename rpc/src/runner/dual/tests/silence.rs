//! When a side is asked whether it is there, and when it is given up.

use super::script::{Driver, millis, questions, running};
use crate::runner::{Prefer, Transport};

#[test]
fn sides_that_are_up_are_timed_now_and_then() {
    let mut driver = running(Prefer::Iroh);
    let asked = driver.busy("iroh", 50, 10_050);
    assert_eq!(asked, ["5050 iroh 3", "5050 grpc 3"]);
}

#[test]
fn a_side_that_falls_silent_is_asked_then_given_up_within_half_a_second() {
    let mut driver = running(Prefer::Iroh);
    driver.busy("iroh", 50, 1050);
    driver.check(
        "1001 call iroh => iroh
         1050 tick => nothing
         1200 ticks => ask iroh 3
         1399 ticks => nothing
         1400 tick => give up iroh
         1400 wake => grpc
         1450 tick => give up iroh
         1451 lose iroh => grpc
         1451 call grpc => grpc
         1452 answer grpc => grpc
         1500 tick => nothing",
    );
}

#[test]
fn a_side_that_takes_long_to_answer_is_waited_for_longer() {
    let mut driver = Driver::new(Prefer::Iroh);
    driver.check(
        "0 wake => wait
         0 tick => ask iroh 1, ask grpc 1
         5 good grpc 1 5 => wait
         150 good iroh 1 150 => iroh
         150 tick => ask iroh 2, ask grpc 2
         151 good grpc 2 1 => iroh
         250 ticks => nothing
         270 good iroh 2 120 => iroh
         271 call iroh => iroh
         300 ticks => nothing
         450 ticks => ask iroh 3
         949 ticks => nothing
         950 tick => give up iroh",
    );
    // And one that has become slower is not given up for ever: what came too late is remembered.
    let mut driver = running(Prefer::Iroh);
    driver.check(
        "51 call iroh => iroh
         55 tick => nothing
         205 ticks => ask iroh 3
         405 ticks => give up iroh
         455 good iroh 3 250 => grpc",
    );
    let known = &driver.switch.side(Transport::Iroh).patience();
    assert_eq!(known.lasts(millis(500)), millis(500));
}

#[test]
fn it_looks_when_an_answer_is_overdue() {
    let mut driver = running(Prefer::Iroh);
    driver.check(
        "51 call iroh => iroh\n55 tick => nothing\n205 ticks => ask iroh 3\n380 ticks => nothing",
    );
    assert_eq!(driver.next, 405);
}

#[test]
fn calls_that_are_never_answered_in_their_time_are_silence_too() {
    let mut driver = running(Prefer::Iroh);
    driver.busy("iroh", 50, 1050);
    for at in (1100..1250).step_by(50) {
        driver.check(&format!("{at} call iroh => iroh\n{at} lose iroh => iroh"));
        // Each is a reason to ask.
        if at == 1100 {
            driver.check("1100 tick => ask iroh 3");
        } else {
            driver.check(&format!("{at} tick => nothing"));
        }
    }
    driver
        .check("1299 ticks => nothing\n1299 wake => iroh\n1300 tick => nothing\n1300 wake => grpc");
}

#[test]
fn slow_handlers_are_not_silence() {
    let mut driver = running(Prefer::Iroh);
    driver.check("50 call iroh => iroh");
    let mut asked = 0;
    for at in (50..4000).step_by(50) {
        let todo = driver.step(&format!("{at} tick"));
        for question in questions(&todo) {
            asked += 1;
            driver.check(&format!("{at} good {question} 1 => iroh"));
        }
    }
    assert_eq!(asked, 26, "one each 150 ms");
}

#[test]
fn a_handler_that_says_that_it_is_unavailable_makes_no_flood_of_questions() {
    let mut driver = running(Prefer::Iroh);
    let mut questions = 0;
    for at in 100..1100 {
        driver.check(&format!("{at} call iroh => iroh\n{at} lose iroh => iroh"));
        let todo = driver.step(&format!("{at} tick"));
        if let Some(number) = todo.strip_prefix("ask iroh ") {
            driver.check(&format!("{at} good iroh {number} 0 => iroh"));
            questions += 1;
        }
    }
    assert_eq!(questions, 7, "one each 150 ms");
}

#[test]
fn a_process_that_stood_still_blames_nobody() {
    let mut driver = running(Prefer::Iroh);
    driver.check(
        "50 call iroh => iroh
         50 tick => nothing
         100 tick => nothing
         150 tick => nothing
         200 tick => ask iroh 3
         9000 tick => ask grpc 3
         9001 good grpc 3 1 => iroh
         9190 ticks => nothing
         9191 good iroh 3 8991 => iroh",
    );
    // The question itself may be over by then.
    let mut driver = running(Prefer::Iroh);
    driver.check(
        "50 call iroh => iroh
         50 tick => nothing
         200 ticks => ask iroh 3
         2000 over iroh 3 => iroh
         2000 tick => ask iroh 4
         2001 good iroh 4 1 => iroh",
    );
    // For a shorter time: what has come meanwhile is read before anyone is judged.
    let mut driver = running(Prefer::Iroh);
    driver.check(
        "50 call iroh => iroh
         50 tick => nothing
         200 ticks => ask iroh 3
         350 ticks => nothing
         500 tick => nothing
         501 good iroh 3 301 => iroh",
    );
}

#[test]
fn a_process_that_is_always_late_finds_out_all_the_same() {
    let mut driver = running(Prefer::Iroh);
    driver.check("50 call iroh => iroh\n50 tick => nothing");
    let mut said = String::new();
    while said != "give up iroh" {
        let at = driver.next + 70;
        assert!(at < 1500, "{said}");
        said = driver.step(&format!("{at} tick"));
    }
}

#[test]
fn a_slow_answer_while_others_come_is_no_reason_to_leave() {
    let mut driver = running(Prefer::Iroh);
    driver.check(
        "200 call iroh => iroh
         200 lose iroh => iroh
         200 tick => ask iroh 3",
    );
    assert_eq!(driver.busy("iroh", 250, 850), [""; 0]);
    driver.check("850 wake => iroh\n851 good iroh 3 651 => iroh");
}
