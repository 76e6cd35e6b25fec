//! Follows an agent from its start to its end.

use crate::activity::Activities;
use crate::budget::{Breach, Budget};
use crate::interrupt::{Interrupt, Interrupts};
use crate::runtime::{Agent, AgentEnd, AgentEvent, Failure};
use crate::tail::Tail;
use rensei_process::End;
use tokio::time::sleep_until;

/// Why an agent was not left to end by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Somebody wanted it to end.
    Interrupted(Interrupt),
    /// It used more than it was given.
    Breached(Breach),
}

/// What was seen of an agent.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    /// How it ended.
    pub(crate) end: AgentEnd,
    /// Why it was stopped, if it was.
    pub(crate) cut: Option<Cut>,
    /// Its last lines.
    pub(crate) tail: Vec<String>,
    /// Id of its conversation.
    pub(crate) provider_session_id: Option<String>,
}

/// Follows `agent`, passes on what it does, and stops it when it has to be.
pub(crate) async fn follow(
    mut agent: Agent,
    budget: Budget,
    interrupts: &Interrupts,
    activities: &Activities,
) -> Observed {
    let mut watch = Watch { budget, tail: Tail::default(), observed: Observed::default() };
    loop {
        let running = watch.observed.cut.is_none();
        // Cancel-safe: both waits hold no state, and `next` loses no event.
        let cut = tokio::select! {
            biased;
            interrupt = interrupts.wait(), if running => Some(Cut::Interrupted(interrupt)),
            () = sleep_until(watch.budget.deadline()), if running => Some(Cut::Breached(watch.budget.out_of_time())),
            event = agent.next() => match event {
                Some(AgentEvent::Ended(end)) => {
                    activities.observe(&AgentEvent::Ended(end.clone()));
                    watch.observed.end = end;
                    break;
                }
                Some(event) => {
                    activities.observe(&event);
                    watch.see(event)
                }
                None => {
                    watch.observed.end.failure = Some(vanished());
                    break;
                }
            },
        };
        if let (Some(cut), true) = (cut, running) {
            agent.stop();
            watch.observed.cut = Some(cut);
        }
    }
    watch.conclude(interrupts).await
}

fn vanished() -> Failure {
    Failure { mode: "silent-exit", message: "agent ended without a result".to_owned() }
}

struct Watch {
    budget: Budget,
    tail: Tail,
    observed: Observed,
}

impl Watch {
    fn see(&mut self, event: AgentEvent) -> Option<Cut> {
        match event {
            AgentEvent::Started { provider_session_id } => {
                self.observed.provider_session_id = Some(provider_session_id);
            }
            AgentEvent::Output { lines, .. } => self.tail.push(&lines),
            AgentEvent::Said(text) | AgentEvent::Error(text) => self.tail.push(text.as_bytes()),
            AgentEvent::ToolUse { name, .. } => return self.budget.tool_used(&name).map(Cut::Breached),
            AgentEvent::ToolResult { .. } | AgentEvent::Ended(_) => {}
        }
        None
    }

    async fn conclude(mut self, interrupts: &Interrupts) -> Observed {
        let observed = &mut self.observed;
        if observed.cut.is_none() && observed.end.process.is_some_and(is_signalled) {
            observed.cut = interrupts.imminent().await.map(Cut::Interrupted);
        }
        if observed.cut.is_none() {
            observed.cut = self.budget.used(&observed.end.usage).map(Cut::Breached);
        }
        self.observed.tail = self.tail.into_lines();
        self.observed
    }
}

/// Ended by a signal, or by a shell that says so of its child.
fn is_signalled(end: End) -> bool {
    match end {
        End::Signaled(_) => true,
        End::Exited(code) => code > 128,
    }
}
