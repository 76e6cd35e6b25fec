//! One commit over HTTP: version 2 of git's protocol, three requests.

mod client;

use super::packet::{Message, Packet};
use super::refs::Wanted;
use super::snapshot::Snapshot;
use super::url::Remote;
use super::{FetchError, FetchLimits};
use client::{Client, Stream};
use git2::{Indexer, Oid, Repository};
use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use tempfile::TempDir;

/// References that a server may tell us of.
const MAX_REFS: usize = 100_000;
/// Objects that a pack may hold.
const MAX_OBJECTS: u32 = 500_000;
const AGENT: &str = concat!("agent=rensei/", env!("CARGO_PKG_VERSION"));

/// Fetches the commit without its history. A server that gives a commit only with what leads to it is asked for all.
pub(super) async fn fetch(
    remote: &Remote,
    url: &str,
    wanted: &Wanted,
    limits: FetchLimits,
) -> Result<Snapshot, FetchError> {
    let client = Client::connect(remote, url, limits).await?;
    let advertised = list(&client, wanted).await?;
    let named = wanted.names().into_iter().find_map(|name| advertised.get(name).copied());
    let (commit, by_id) = match (named, wanted) {
        (Some(commit), _) => (commit, false),
        (None, Wanted::Named { commit: Some(commit), .. }) => (*commit, true),
        (None, _) => return Err(wanted.missing(url)),
    };
    match pack(&client, &[commit], true).await {
        Err(FetchError::Server { .. }) if by_id => {
            let all: Vec<Oid> = list(&client, &Wanted::Head).await?.into_values().collect();
            let snapshot = pack(&client, &all, false).await?.at(commit);
            snapshot.map_err(|_| wanted.missing(url))
        }
        fetched => {
            let objects = |source| FetchError::Objects { url: url.to_owned(), source };
            fetched?.at(commit).map_err(objects)
        }
    }
}

/// References that begin with one of the wanted names; for HEAD all branches and tags too.
async fn list(client: &Client<'_>, wanted: &Wanted) -> Result<HashMap<String, Oid>, FetchError> {
    let mut message = Message::default().line("command=ls-refs").line(AGENT).delimiter().line("peel");
    for name in wanted.names() {
        message = message.line(&format!("ref-prefix {name}"));
    }
    if *wanted == Wanted::Head {
        message = message.line("ref-prefix refs/heads/").line("ref-prefix refs/tags/");
    }
    let mut stream = client.post(message.flush()).await?;
    let mut found = HashMap::new();
    while let Some(packet) = stream.next().await? {
        let Packet::Data(line) = packet else { break };
        let line = String::from_utf8_lossy(&line);
        let mut words = line.trim_end().split(' ');
        let (Some(id), Some(name)) = (words.next(), words.next()) else { continue };
        // An annotated tag stands for what it is about.
        let peeled = words.find_map(|word| word.strip_prefix("peeled:"));
        if let Ok(id) = Oid::from_str(peeled.unwrap_or(id)) {
            found.insert(name.to_owned(), id);
        }
        if found.len() > MAX_REFS {
            return Err(client.refuse("too many references"));
        }
    }
    Ok(found)
}

/// A repository that holds what was sent.
struct Fetched {
    repository: Repository,
    dir: TempDir,
}

impl Fetched {
    fn at(self, commit: Oid) -> Result<Snapshot, git2::Error> {
        Snapshot::of(self.repository, commit, Some(self.dir))
    }
}

async fn pack(client: &Client<'_>, commits: &[Oid], shallow: bool) -> Result<Fetched, FetchError> {
    let mut message =
        Message::default().line("command=fetch").line(AGENT).delimiter().line("ofs-delta").line("no-progress");
    if shallow {
        message = message.line("deepen 1");
    }
    for commit in commits {
        message = message.line(&format!("want {commit}"));
    }
    let mut stream = client.post(message.line("done").flush()).await?;
    skip_to_pack(client, &mut stream).await?;
    let target = Target::new(client)?;
    let mut file = File::create(target.pack()).map_err(|source| target.write_error(client, source))?;
    let (mut received, mut header) = (0_u64, Vec::new());
    while let Some(packet) = stream.next().await? {
        let Packet::Data(data) = packet else { break };
        match data.split_first() {
            Some((1, bytes)) => {
                received += bytes.len() as u64;
                if received > client.limits.bytes {
                    return Err(FetchError::TooLarge { url: client.shown.to_owned(), limit: client.limits.bytes });
                }
                check_header(client, &mut header, bytes)?;
                file.write_all(bytes).map_err(|source| target.write_error(client, source))?;
            }
            Some((3, words)) => return Err(client.refuse(&said(words))),
            _ => {}
        }
    }
    if received == 0 {
        return Err(client.refuse("the server sent nothing"));
    }
    let indexed = tokio::task::spawn_blocking(move || target.index()).await;
    let indexed = indexed.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    indexed.map_err(|source| FetchError::Objects { url: client.shown.to_owned(), source })
}

/// Bytes 8 to 11 of a pack say how many objects it claims to hold.
fn check_header(client: &Client<'_>, header: &mut Vec<u8>, bytes: &[u8]) -> Result<(), FetchError> {
    if header.len() >= 12 {
        return Ok(());
    }
    header.extend(bytes.iter().take(12 - header.len()));
    match header.get(8..12).and_then(|count| count.try_into().ok()).map(u32::from_be_bytes) {
        Some(count) if count > MAX_OBJECTS => Err(client.refuse("too many objects")),
        _ => Ok(()),
    }
}

/// Sections before the pack say how deep the history is, which is known.
async fn skip_to_pack(client: &Client<'_>, stream: &mut Stream<'_>) -> Result<(), FetchError> {
    while let Some(packet) = stream.next().await? {
        match packet {
            Packet::Data(line) if line.starts_with(b"packfile") => return Ok(()),
            Packet::Data(line) if line.starts_with(b"ERR ") => return Err(client.refuse(&said(&line[4..]))),
            Packet::Flush => break,
            Packet::Data(_) | Packet::Delimiter => {}
        }
    }
    Err(client.refuse("the server sent no objects"))
}

/// Words of a server, harmless and short.
fn said(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let words: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    format!("the server says: {words}")
}

/// An empty repository to receive into.
struct Target {
    repository: Repository,
    dir: TempDir,
}

impl Target {
    fn new(client: &Client<'_>) -> Result<Self, FetchError> {
        let url = client.shown.to_owned();
        let dir = tempfile::Builder::new().prefix("rensei-kit-install-").tempdir();
        let dir = dir.map_err(|source| FetchError::Write { url: url.clone(), path: std::env::temp_dir(), source })?;
        let repository = Repository::init_bare(dir.path()).map_err(|source| FetchError::Objects { url, source })?;
        Ok(Self { repository, dir })
    }

    /// What is received, before it has its index.
    fn pack(&self) -> PathBuf {
        self.dir.path().join("received.pack")
    }

    fn write_error(&self, client: &Client<'_>, source: std::io::Error) -> FetchError {
        FetchError::Write { url: client.shown.to_owned(), path: self.pack(), source }
    }

    /// Checks every object of the pack and makes it part of the repository.
    fn index(self) -> Result<Fetched, git2::Error> {
        let failed = |error: std::io::Error| git2::Error::from_str(&error.to_string());
        let mut pack = File::open(self.pack()).map_err(failed)?;
        // Without its history a commit lacks its parents, which a check of connections would mind.
        let mut indexer = Indexer::new(None, &self.dir.path().join("objects/pack"), 0o600, false)?;
        std::io::copy(&mut pack, &mut indexer).map_err(failed)?;
        indexer.commit()?;
        self.repository.odb()?.refresh()?;
        Ok(Fetched { repository: self.repository, dir: self.dir })
    }
}
