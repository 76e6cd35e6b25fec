//! The examples run.

#[path = "../examples/custom_pool.rs"]
mod custom_pool;
#[path = "../examples/custom_worker.rs"]
mod custom_worker;
#[path = "../examples/events.rs"]
mod events;
#[path = "../examples/minimal.rs"]
mod minimal;

#[test]
fn minimal_example() {
    minimal::main().unwrap();
}

#[test]
fn events_example() {
    events::main().unwrap();
}

#[test]
fn custom_worker_example() {
    custom_worker::main().unwrap();
}

#[test]
fn custom_pool_example() {
    custom_pool::main().unwrap();
}
