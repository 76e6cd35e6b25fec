//! Whose turn it is to ask for work.
//!
//! All organisations share the slots of the host. When there is more than one, each asks in its turn and wants an answer
//! at once: the one with the fewest sessions here first, then the one whose last turn is longest ago. So a slot that
//! becomes free goes to whoever has the least, as long as there is work of it, and to anybody else otherwise. What is
//! then left is waited for without a turn, by all of them, and reserves nothing.

use super::Org;
use crate::sessions::Sessions;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// How long others wait for the answer to one. A control plane that takes longer costs them no more than this.
const PATIENCE: Duration = Duration::from_secs(1);

/// The line of those who want to ask.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    line: Mutex<Line>,
    /// Somebody came or went.
    changes: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Line {
    waiting: Vec<Waiting>,
    /// Whose turn it is, and until when nobody else's.
    holder: Option<(u64, Instant)>,
    /// Tickets and turns that were handed out.
    count: u64,
}

#[derive(Debug)]
struct Waiting {
    ticket: u64,
    org: Arc<Org>,
}

/// A place in the line, then the turn. Ends when dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    ticket: u64,
}

impl Turns {
    /// Waits for a free slot and the turn of `org` to ask for work for it. Cancel-safe: whoever goes away loses the place.
    pub(crate) async fn next(&self, sessions: &Sessions, org: &Arc<Org>) -> Turn<'_> {
        let turn = self.line_up(org);
        let (mut changes, mut sizes) = (self.changes.subscribe(), sessions.live_changes());
        loop {
            changes.borrow_and_update();
            sizes.borrow_and_update();
            sessions.free_slot().await;
            let until = match self.take(turn.ticket, sessions) {
                Ok(()) => return turn,
                Err(until) => until,
            };
            // All only wait; the loop looks again.
            tokio::select! {
                _sender_is_ours = changes.changed() => {}
                _sender_is_ours = sizes.changed() => {}
                () = patience(until) => {}
            }
        }
    }

    fn line_up(&self, org: &Arc<Org>) -> Turn<'_> {
        let mut line = self.line();
        line.count += 1;
        let ticket = line.count;
        line.waiting.push(Waiting { ticket, org: Arc::clone(org) });
        drop(line);
        self.changes.send_replace(());
        Turn { turns: self, ticket }
    }

    /// Takes the turn, or says how long somebody else has it.
    fn take(&self, ticket: u64, sessions: &Sessions) -> Result<(), Option<Instant>> {
        let mut line = self.line();
        if let Some((_, until)) = line.holder.filter(|(_, until)| *until > Instant::now()) {
            return Err(Some(until));
        }
        let key = |waiting: &Waiting| (sessions.live_count_of(&waiting.org), waiting.org.last_turn(), waiting.ticket);
        let first = line.waiting.iter().min_by_key(|waiting| key(waiting)).map(|waiting| waiting.ticket);
        if first != Some(ticket) {
            return Err(None);
        }
        line.count += 1;
        let count = line.count;
        let at = line.waiting.iter().position(|waiting| waiting.ticket == ticket);
        if let Some(at) = at {
            line.waiting.swap_remove(at).org.note_turn(count);
        }
        line.holder = Some((ticket, Instant::now() + PATIENCE));
        drop(line);
        // Who has looked already must look again, to know how long this may take.
        self.changes.send_replace(());
        Ok(())
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        // Small total changes; a panic in one leaves it as it was.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn patience(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut line = self.turns.line();
        line.waiting.retain(|waiting| waiting.ticket != self.ticket);
        if line.holder.is_some_and(|(holder, _)| holder == self.ticket) {
            line.holder = None;
        }
        drop(line);
        self.turns.changes.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::Daemon;
    use std::pin::{Pin, pin};
    use std::task::Poll;

    async fn looks(waiting: &mut Pin<&mut impl Future>) -> bool {
        std::future::poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context).is_ready())).await
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_looked_before_the_turn_was_taken_does_not_wait_for_its_end() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("daemon-partner.yaml"), "projects: []\n").unwrap();
        let daemon = Daemon::builder(dir.path().to_owned()).build().unwrap().with_control_url("http://127.0.0.1:1");
        let host = &daemon.handle().host;
        let (turns, orgs) = (&host.turns, host.orgs.all());
        orgs[1].note_turn(1);
        host.serving.set_max_sessions(0);
        let (mut first, mut second) =
            (pin!(turns.next(&host.sessions, &orgs[0])), pin!(turns.next(&host.sessions, &orgs[1])));
        assert!(!looks(&mut first).await && !looks(&mut second).await, "there is no slot");
        host.serving.set_max_sessions(1);
        assert!(!looks(&mut second).await, "it is not the first");
        // Held as long as a control plane does not answer.
        let _held = first.await;
        tokio::time::timeout(2 * PATIENCE, second).await.unwrap();
    }
}
