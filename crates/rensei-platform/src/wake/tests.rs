use super::*;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

fn place(project: &str) -> Offer {
    Offer::to_all(Place { org: "o".into(), project: project.into(), runner: Runner::Go })
}

fn wait(wake: &Wake, worker: &str, project: Option<&str>) -> WorkWait {
    let scope = Scope { org: "o".into(), project: project.map(str::to_owned) };
    wake.wait_for_work(worker, &scope, Runner::Go)
}

fn is_woken(wait: &WorkWait) -> bool {
    let mut woken = pin!(wait.woken());
    woken.as_mut().poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
}

#[test]
fn one_session_wakes_one_fitting_poll_in_order() {
    let wake = Wake::default();
    let mut other = wait(&wake, "w0", Some("q"));
    let mut first = wait(&wake, "w1", Some("p"));
    let mut second = wait(&wake, "w2", None);
    for wait in [&mut other, &mut first, &mut second] {
        wait.begin_look();
        wait.end_look(false);
    }
    wake.work(place("p"));
    assert!(!is_woken(&other) && is_woken(&first) && !is_woken(&second));
    wake.work(place("p"));
    assert!(!is_woken(&other) && !is_woken(&first) && is_woken(&second));
}

#[test]
fn a_wake_up_during_the_look_is_not_lost() {
    let wake = Wake::default();
    let mut poll = wait(&wake, "w", None);
    poll.begin_look();
    wake.work(place("p"));
    poll.end_look(false);
    assert!(is_woken(&poll));
}

#[test]
fn a_poll_that_cannot_take_it_passes_it_on() {
    let wake = Wake::default();
    let (mut first, mut second, mut third) = (wait(&wake, "a", None), wait(&wake, "b", None), wait(&wake, "c", None));
    for wait in [&mut first, &mut second, &mut third] {
        wait.begin_look();
        wait.end_look(false);
    }
    wake.work(place("p"));
    assert!(is_woken(&first));
    first.begin_look();
    first.end_look(true);
    assert!(is_woken(&second), "the first one is full");
    drop(second);
    assert!(is_woken(&third), "the second one hung up before it looked");
    third.begin_look();
    drop(third);
    wake.work(place("p"));
    assert!(!is_woken(&first), "a full worker is not woken for work");
    wake.worker("a");
    assert!(is_woken(&first), "but when its slot is free");
    drop(first);
    let state = wake.state();
    assert!(state.lanes.is_empty() && state.tickets.is_empty() && state.workers.is_empty());
}

#[test]
fn a_refused_session_wakes_only_those_who_can_see_it() {
    let wake = Wake::default();
    let (mut first, mut second, mut third) = (wait(&wake, "a", None), wait(&wake, "b", None), wait(&wake, "c", None));
    for wait in [&mut first, &mut second, &mut third] {
        wait.begin_look();
        wait.end_look(false);
    }
    let hidden = |from: &[&str]| Offer { hidden_from: from.iter().map(ToString::to_string).collect(), ..place("p") };
    wake.work(hidden(&["a"]));
    assert!(!is_woken(&first) && is_woken(&second) && !is_woken(&third));
    // Passed on, it is still hidden from the same ones.
    drop(second);
    assert!(!is_woken(&first) && is_woken(&third));
    drop(third);
    assert!(!is_woken(&first));
    wake.work(hidden(&["b"]));
    assert!(is_woken(&first));
}

#[test]
fn a_session_wakes_all_its_watchers_and_is_forgotten() {
    let wake = Wake::default();
    let mut watchers = [wake.wait_for_session("s"), wake.wait_for_session("s")];
    wake.session("s");
    wake.session("unwatched");
    for watcher in &mut watchers {
        let mut changed = pin!(watcher.changed());
        assert_eq!(changed.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(()));
    }
    drop(watchers);
    assert!(wake.state().sessions.is_empty());
}
