//! Limits of one session.

use crate::runtime::Usage;
use rensei_proto::{SessionDetail, StageBudget};
use std::time::Duration;
use tokio::time::Instant;

/// Longest time any session may take.
const CEILING: Duration = Duration::from_secs(24 * 60 * 60);

/// What the stage allows, and what has been used.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: StageBudget,
    deadline: Instant,
    sub_agents: u64,
}

/// A limit that was passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Breach {
    /// Stable word for the outcome.
    pub(crate) failure_mode: &'static str,
    /// For people.
    pub(crate) message: String,
}

impl Breach {
    fn of(limit: &str, detail: &str) -> Self {
        Self { failure_mode: "budget-exceeded", message: format!("budget exceeded: {limit} ({detail})") }
    }
}

impl Budget {
    /// Limits that count from `start`.
    pub(crate) fn new(detail: &SessionDetail, start: Instant) -> Self {
        let given = detail.stage_budget.unwrap_or_default();
        let limits = StageBudget {
            max_duration_seconds: given.max_duration_seconds.filter(|n| *n > 0),
            max_sub_agents: given.max_sub_agents.filter(|n| *n > 0),
            max_tokens: given.max_tokens.filter(|n| *n > 0),
        };
        let allowed = limits.max_duration_seconds.map_or(CEILING, Duration::from_secs);
        Self { limits, deadline: start + allowed.min(CEILING), sub_agents: 0 }
    }

    /// When the time is up.
    pub(crate) const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// What it means that the deadline has passed.
    pub(crate) fn out_of_time(&self) -> Breach {
        match self.limits.max_duration_seconds {
            Some(seconds) if Duration::from_secs(seconds) <= CEILING => {
                Breach::of("max-duration-seconds", &format!("{seconds} s"))
            }
            _ => Breach { failure_mode: "timeout", message: "session took longer than 24 h".to_owned() },
        }
    }

    /// Counts a use of `tool`; sub-agents are started by a tool called `task`.
    pub(crate) fn tool_used(&mut self, tool: &str) -> Option<Breach> {
        let tool = tool.to_ascii_lowercase();
        if tool != "task" && !tool.ends_with("__task") {
            return None;
        }
        self.sub_agents += 1;
        let max = self.limits.max_sub_agents.filter(|max| self.sub_agents > *max)?;
        Some(Breach::of("max-sub-agents", &format!("{} of {max}", self.sub_agents)))
    }

    /// Judges what the agent says it used.
    pub(crate) fn used(&self, usage: &Usage) -> Option<Breach> {
        let total = usage.input_tokens.saturating_add(usage.output_tokens);
        let max = self.limits.max_tokens.filter(|max| total > *max)?;
        Some(Breach::of("max-tokens", &format!("{total} of {max}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rensei_proto::SessionId;

    fn budget(limits: StageBudget) -> (Budget, Instant) {
        let detail = SessionDetail { stage_budget: Some(limits), ..SessionDetail::new(SessionId::parse("s").unwrap()) };
        let start = Instant::now();
        (Budget::new(&detail, start), start)
    }

    #[test]
    fn zero_is_no_limit_and_the_ceiling_always_holds() {
        let (mut free, start) =
            budget(StageBudget { max_duration_seconds: Some(0), max_sub_agents: Some(0), max_tokens: Some(0) });
        assert_eq!(free.deadline() - start, CEILING);
        assert_eq!(free.out_of_time().failure_mode, "timeout");
        assert_eq!(free.tool_used("Task"), None);
        assert_eq!(free.used(&Usage { input_tokens: u64::MAX, output_tokens: 1, ..Usage::default() }), None);
        let (huge, start) = budget(StageBudget { max_duration_seconds: Some(u64::MAX), ..StageBudget::default() });
        assert_eq!(huge.deadline() - start, CEILING);
        assert_eq!(huge.out_of_time().failure_mode, "timeout");
    }

    #[test]
    fn breaches_say_which_limit() {
        let (mut tight, start) =
            budget(StageBudget { max_duration_seconds: Some(5), max_sub_agents: Some(1), max_tokens: Some(10) });
        assert_eq!(tight.deadline() - start, Duration::from_secs(5));
        assert_eq!(tight.out_of_time().message, "budget exceeded: max-duration-seconds (5 s)");
        assert_eq!((tight.tool_used("task"), tight.tool_used("Bash")), (None, None));
        assert_eq!(tight.tool_used("mcp__Task").unwrap().message, "budget exceeded: max-sub-agents (2 of 1)");
        let usage = Usage { input_tokens: 6, output_tokens: 5, ..Usage::default() };
        assert_eq!(tight.used(&usage).unwrap().message, "budget exceeded: max-tokens (11 of 10)");
    }
}
