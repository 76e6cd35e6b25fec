//! The control API: how much of what the machine can do is left with all guards on, and what its readers cost.

use crate::Load;
use crate::error::BenchError;
use crate::rig::{Host, Rig};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use xtask::{Goal, Report, Row};

/// Connections that ask at the same time.
const CONNECTIONS: usize = 32;
/// Measurements of each side, taken in turn; the best of each counts, because disturbances only slow down.
const ROUNDS: usize = 3;
/// Readers of events.
const READERS: usize = 1000;
const STATUS: &str = "GET /api/daemon/status HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
const EVENTS: &str = "GET /api/daemon/events HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";

/// Measures everything about the control API.
pub(crate) async fn measure(rig: &mut Rig, load: Load, report: &mut Report) -> Result<(), BenchError> {
    let host = rig.start_local_host("control", Path::new("/bin/true")).await?;
    status_rate(rig, &host, load, report).await?;
    event_readers(&host, report).await?;
    rig.stop_host(host).await
}

async fn status_rate(rig: &Rig, host: &Host, load: Load, report: &mut Report) -> Result<(), BenchError> {
    let body = rig.dir().join("status.json");
    let mut connection = Connection::open(host.port()).await?;
    let answer = connection.ask(STATUS).await?;
    std::fs::write(&body, &answer).map_err(BenchError::io(&body))?;
    let bare = Bare::start(&body)?;
    let (mut ours, mut limit) = (0.0_f64, 0.0_f64);
    for _ in 0..ROUNDS {
        limit = limit.max(rate(bare.port, load.asking).await?);
        ours = ours.max(rate(host.port(), load.asking).await?);
    }
    let row = Row::rate("GET status, 32 connections", ours).limit("bare hyper, same bytes", limit);
    report.add(row.goal(Goal::AtLeastTimes(0.6)));
    Ok(())
}

/// Answers per second when all connections ask again at once.
async fn rate(port: u16, time: Duration) -> Result<f64, BenchError> {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(Connection::open(port).await?);
    }
    let started = Instant::now();
    let asking = connections.into_iter().map(|mut connection| async move {
        let mut answers = 0_u32;
        while started.elapsed() < time {
            connection.ask(STATUS).await?;
            answers += 1;
        }
        Ok::<_, BenchError>(answers)
    });
    let answers: u32 = futures_util::future::try_join_all(asking).await?.into_iter().sum();
    Ok(f64::from(answers) / started.elapsed().as_secs_f64())
}

async fn event_readers(host: &Host, report: &mut Report) -> Result<(), BenchError> {
    let before = resident(host.pid())?;
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut reader = Connection::open(host.port()).await?;
        reader.send(EVENTS).await?;
        reader.head().await?;
        readers.push(reader);
    }
    let memory = resident(host.pid())?.saturating_sub(before);
    let client = rensei_control_api::ControlClient::new(&host.url())?;
    let started = Instant::now();
    client.pause().await?;
    futures_util::future::try_join_all(readers.iter_mut().map(Connection::event)).await?;
    let took = started.elapsed();
    client.resume().await?;
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    report.add(Row::memory("1000 event streams, added memory", memory as f64 / 1024.0).goal(Goal::AtMost(64.0)));
    report.add(Row::latency("event to all of 1000 readers", took.as_secs_f64() * 1000.0));
    Ok(())
}

/// Resident memory of a process, KiB.
fn resident(pid: u32) -> Result<u64, BenchError> {
    let path = PathBuf::from(format!("/proc/{pid}/status"));
    let text = std::fs::read_to_string(&path).map_err(BenchError::io(&path))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    Ok(line.trim().trim_end_matches(" kB").parse().unwrap_or_default())
}

/// A kept connection that is spoken to byte by byte, so that the load costs less than what it measures.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(port: u16) -> Result<Self, BenchError> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(broken)?;
        stream.set_nodelay(true).map_err(broken)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096) })
    }

    async fn send(&mut self, request: &str) -> Result<(), BenchError> {
        self.stream.write_all(request.as_bytes()).await.map_err(broken)
    }

    /// Sends a request and reads its answer; returns the body.
    async fn ask(&mut self, request: &str) -> Result<Vec<u8>, BenchError> {
        self.send(request).await?;
        let length = self.head().await?;
        while self.buffer.len() < length {
            self.read().await?;
        }
        let rest = self.buffer.split_off(length);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    /// Reads the head of an answer; returns the length of the body, 0 for a stream.
    async fn head(&mut self) -> Result<usize, BenchError> {
        let end = loop {
            match self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => self.read().await?,
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).to_ascii_lowercase();
        if !head.starts_with("http/1.1 200") {
            return Err(BenchError::Unexpected { what: "the answer is not 200".into(), output: head });
        }
        self.buffer.drain(..end);
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        Ok(length.and_then(|length| length.parse().ok()).unwrap_or_default())
    }

    /// Waits for the next event.
    async fn event(&mut self) -> Result<(), BenchError> {
        while !self.buffer.windows(5).any(|window| window == b"data:") {
            self.read().await?;
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<(), BenchError> {
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) => Err(broken(std::io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(()),
            Err(error) => Err(broken(error)),
        }
    }
}

fn broken(source: std::io::Error) -> BenchError {
    BenchError::Io { path: "the connection".into(), source }
}

/// This program again, as a server that does nothing but answer.
struct Bare {
    child: Child,
    port: u16,
}

impl Bare {
    fn start(body: &Path) -> Result<Self, BenchError> {
        use std::io::BufRead as _;
        let program = std::env::current_exe().map_err(BenchError::io(Path::new("/proc/self/exe")))?;
        let start = |source| BenchError::Start { program: program.clone(), source };
        let mut command = Command::new(&program);
        command
            .args(["--programs", ".", "--scratch", ".", "--bare"])
            .arg(body)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = command.spawn().map_err(start)?;
        let mut line = String::new();
        let said = child.stdout.take().map(|out| std::io::BufReader::new(out).read_line(&mut line));
        said.transpose().map_err(broken)?;
        let port = line.trim().parse().unwrap_or_default();
        Ok(Self { child, port })
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves the content of `body` until killed.
pub(crate) fn bare(body: &Path) -> Result<(), BenchError> {
    let bytes = Bytes::from(std::fs::read(body).map_err(BenchError::io(body))?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(broken)?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(broken)?;
        println!("{}", listener.local_addr().map_err(broken)?.port());
        loop {
            let (stream, _) = listener.accept().await.map_err(broken)?;
            let _ = stream.set_nodelay(true);
            let bytes = bytes.clone();
            tokio::spawn(async move {
                let service = service_fn(move |_request: hyper::Request<Incoming>| {
                    let mut answer = hyper::Response::new(Full::new(bytes.clone()));
                    let json = hyper::header::HeaderValue::from_static("application/json");
                    answer.headers_mut().insert(hyper::header::CONTENT_TYPE, json);
                    std::future::ready(Ok::<_, Infallible>(answer))
                });
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    })
}
