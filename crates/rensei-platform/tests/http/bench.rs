//! Figures, on request: `cargo test --release -p rensei-platform --test http -- --ignored --nocapture bench`.

use crate::support::Server;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() - 1) * percent / 100]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, proves nothing"]
async fn bench_create_to_poll_latency() {
    let server = Server::start().await;
    let worker = server.worker("m", 4).await;
    let (got, mut arrivals) = mpsc::unbounded_channel();
    let poller = tokio::spawn({
        let worker = worker.clone();
        async move {
            loop {
                for item in worker.poll(20).await {
                    got.send((item["sessionId"].as_str().unwrap().to_owned(), Instant::now())).unwrap();
                }
            }
        }
    });
    let mut times = Vec::new();
    for _ in 0..1_000 {
        let began = Instant::now();
        server.create(json!({ "prompt": "x".repeat(2_000) })).await;
        let (id, at) = arrivals.recv().await.unwrap();
        times.push(at - began);
        worker.status(&id, "completed", Some(1)).await.expect(200);
    }
    poller.abort();
    times.sort();
    println!("create -> poll answer: p50 {:?}, p99 {:?}", percentile(&times, 50), percentile(&times, 99));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, proves nothing"]
async fn bench_sessions_per_second() {
    const SESSIONS: usize = 8_000;
    const CREATORS: usize = 8;
    let server = std::sync::Arc::new(Server::start().await);
    let began = Instant::now();
    let creators = (0..CREATORS).map(|_| {
        let server = std::sync::Arc::clone(&server);
        tokio::spawn(async move {
            for _ in 0..SESSIONS / CREATORS {
                server.create(json!({ "prompt": "x" })).await;
            }
        })
    });
    let creators: Vec<_> = creators.collect();
    let (done, mut ended) = mpsc::unbounded_channel();
    let mut pollers = Vec::new();
    for n in 0..4 {
        let (worker, done) = (server.worker(&format!("m{n}"), 16).await, done.clone());
        pollers.push(tokio::spawn(async move {
            loop {
                for item in worker.poll(20).await {
                    let (worker, done) = (worker.clone(), done.clone());
                    tokio::spawn(async move {
                        worker.status(item["sessionId"].as_str().unwrap(), "completed", Some(1)).await.expect(200);
                        done.send(()).unwrap();
                    });
                }
            }
        }));
    }
    for _ in 0..SESSIONS {
        ended.recv().await.unwrap();
    }
    let took = began.elapsed();
    println!("{SESSIONS} sessions in {took:?}: {:.0}/s", SESSIONS as f64 / took.as_secs_f64());
    pollers.iter().for_each(|poller| poller.abort());
    for creator in creators {
        creator.await.unwrap();
    }
}
