//! As much of HTTP/1.1 as a server needs whose clients are well-behaved and whose answers are not.

use super::Platform;
use crate::fault::{Answer, Call, Fault};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// Between two bytes of a dripping answer.
const DRIP: Duration = Duration::from_millis(5);
/// Block of a flood.
const BLOCK: usize = 64 * 1024;

/// A request as it came.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    /// Path without its query.
    pub(super) path: String,
    pub(super) query: String,
    pub(super) bearer: Option<String>,
    pub(super) body: Vec<u8>,
    length: usize,
}

/// Serves one connection until its end.
pub(super) async fn serve(platform: Arc<Platform>, stream: TcpStream) {
    let _nodelay = stream.set_nodelay(true);
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    // Ends with the connection: both sides may break it off at any time.
    while let Ok(Some(request)) = read_head(&mut read).await {
        if exchange(&platform, request, &mut read, &mut write).await.is_err() {
            break;
        }
    }
}

/// One request and what becomes of it. An error ends the connection.
async fn exchange(
    platform: &Platform,
    mut request: Request,
    read: &mut BufReader<OwnedReadHalf>,
    write: &mut OwnedWriteHalf,
) -> io::Result<()> {
    let call = Call::of_path(&request.path);
    let fault = call.as_ref().and_then(|(call, _)| platform.next_fault(*call));
    if fault != Some(Fault::CloseBeforeReading) {
        request.body = vec![0; request.length];
        read.read_exact(&mut request.body).await?;
    }
    platform.record(call.as_ref().map(|(call, _)| *call), &request);
    let Some(fault) = fault else {
        let answer = tokio::select! {
            // First, so that work which comes now is not handed to somebody who has gone.
            biased;
            () = left(read) => return closed(),
            answer = platform.answer(call, &request) => answer,
        };
        return write.write_all(&answer.bytes()).await;
    };
    if fault == Fault::LoseAnswer {
        let _lost = platform.answer(call, &request).await;
        return closed();
    }
    misbehave(fault, &request, read, write).await
}

async fn misbehave(
    fault: Fault,
    request: &Request,
    read: &mut BufReader<OwnedReadHalf>,
    write: &mut OwnedWriteHalf,
) -> io::Result<()> {
    match fault {
        Fault::Answer(answer) => return write.write_all(&answer.bytes()).await,
        Fault::Echo(mut answer) => {
            let bearer = request.bearer.as_deref().unwrap_or_default();
            answer.body = String::from_utf8_lossy(&answer.body).replace("{bearer}", bearer).into_bytes();
            return write.write_all(&answer.bytes()).await;
        }
        Fault::CloseBeforeReading | Fault::CloseAfterReading | Fault::LoseAnswer => {}
        Fault::NotHttp => write.write_all(b"\x16\x03\x01 SSH-2.0-no\r\n\r\n").await?,
        Fault::Hang => left(read).await,
        Fault::HangInBody => {
            write.write_all(&Answer::json(200, "").head(Some(100))).await?;
            left(read).await;
        }
        Fault::DripHead => drip(write, b"HTTP/1.1 200 Scripted\r\nx: ").await?,
        Fault::DripBody => drip(write, b"HTTP/1.1 200 Scripted\r\n\r\n{\"x\":\"").await?,
        Fault::Truncated(answer) => {
            write.write_all(&answer.head(Some(answer.body.len()))).await?;
            write.write_all(&answer.body[..answer.body.len() / 2]).await?;
        }
        Fault::Flood(status, bytes) => flood(write, status, bytes).await?,
        Fault::Announce(status, bytes) => {
            let length = usize::try_from(bytes).unwrap_or(usize::MAX);
            write.write_all(&Answer::json(status, "").head(Some(length))).await?;
            left(read).await;
        }
    }
    closed()
}

fn closed() -> io::Result<()> {
    Err(io::ErrorKind::ConnectionAborted.into())
}

/// Waits until the caller closes the connection. Callers never send a second request before the first is answered.
async fn left(read: &mut BufReader<OwnedReadHalf>) {
    while read.fill_buf().await.is_ok_and(|more| !more.is_empty()) {
        let seen = read.buffer().len();
        read.consume(seen);
    }
}

async fn drip(write: &mut OwnedWriteHalf, start: &[u8]) -> io::Result<()> {
    write.write_all(start).await?;
    loop {
        write.write_all(b"a").await?;
        tokio::time::sleep(DRIP).await;
    }
}

async fn flood(write: &mut OwnedWriteHalf, status: u16, bytes: u64) -> io::Result<()> {
    write.write_all(&Answer::json(status, "").head(None)).await?;
    write.write_all(b"{\"work\":\"").await?;
    let block = vec![b'a'; BLOCK];
    for _ in 0..bytes / BLOCK as u64 {
        write.write_all(&block).await?;
    }
    Ok(())
}

/// The head of the next request; `None` at the end of the connection.
async fn read_head(read: &mut BufReader<OwnedReadHalf>) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if read.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        bearer: None,
        body: Vec::new(),
        length: 0,
    };
    loop {
        let mut line = String::new();
        read.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else { return Ok(Some(request)) };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => request.length = value.trim().parse().map_err(io::Error::other)?,
            "authorization" => request.bearer = value.trim().strip_prefix("Bearer ").map(str::to_owned),
            "transfer-encoding" => return Err(io::Error::other("clients of these tests know their lengths")),
            _ => {}
        }
    }
}
