//! Runtime `stub`: scripted agents, for trying out a fleet without a model.
//!
//! What it does to the workarea is real: the happy path leaves a file that is committed and pushed like any other
//! agent's work.

use super::{Agent, AgentEnd, AgentEvent, AgentRuntime, AgentSpec, Driver, Failure, RuntimeError, Usage};
use crate::options::variable;
use rensei_proto::SessionDetail;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub(super) const NAME: &str = "stub";
/// File that the happy path writes, relative to the workarea.
const FILE: &str = "rensei-stub.md";
/// Time between two signs of life of a slow tool.
const TICK: Duration = Duration::from_millis(100);
/// Most signs of life of a slow tool.
const MAX_TICKS: u64 = 36_000;

/// What a scripted agent does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behavior {
    SucceedWithPr,
    FailOnClone,
    HangThenTimeout,
    SilentFail,
    SlowTool,
    CostOverrun,
    MidStreamError,
}

impl Behavior {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "succeed-with-pr" => Self::SucceedWithPr,
            "fail-on-clone" => Self::FailOnClone,
            "hang-then-timeout" => Self::HangThenTimeout,
            "silent-fail" => Self::SilentFail,
            "slow-tool" => Self::SlowTool,
            "cost-overrun" => Self::CostOverrun,
            "mid-stream-error" => Self::MidStreamError,
            _ => return None,
        })
    }
}

/// A scripted agent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stub {
    behavior: Behavior,
    ticks: u64,
}

impl Stub {
    /// Reads `stub.behavior` of the provider's configuration, else `RENSEI_STUB_MODE`; anything unknown means the happy
    /// path.
    pub(super) fn configured(detail: &SessionDetail, env: &BTreeMap<String, String>) -> Self {
        let none = Map::new();
        let config = detail.resolved_profile.as_ref().map_or(&none, |profile| &profile.provider_config);
        let named = config.get("stub.behavior").and_then(Value::as_str).or_else(|| variable(env, "STUB_MODE"));
        let ticks = config.get("stub.progressTicks").and_then(Value::as_u64).unwrap_or(3).min(MAX_TICKS);
        Self { behavior: named.and_then(Behavior::parse).unwrap_or(Behavior::SucceedWithPr), ticks }
    }
}

impl AgentRuntime for Stub {
    fn spawn(&self, spec: AgentSpec) -> Result<Agent, RuntimeError> {
        let stub = *self;
        Ok(Agent::drive(move |driver| async move {
            let script = Script { driver: driver.clone(), session_id: spec.session_id, workarea: spec.workarea };
            let end = tokio::select! {
                // A script has nothing to clean up: it may be dropped anywhere.
                end = script.play(stub) => end,
                () = driver.stopped() => failed("provider-error", "agent was stopped"),
            };
            driver.emit(AgentEvent::Ended(end)).await;
        }))
    }
}

struct Script {
    driver: Driver,
    session_id: String,
    workarea: PathBuf,
}

impl Script {
    async fn play(&self, stub: Stub) -> AgentEnd {
        self.emit(AgentEvent::Started { provider_session_id: format!("stub-session-{}", self.session_id) }).await;
        match stub.behavior {
            Behavior::SucceedWithPr => self.write_file().await,
            Behavior::FailOnClone => self.fail("clone_failed").await,
            Behavior::HangThenTimeout => std::future::pending().await,
            Behavior::SilentFail => failed("silent-exit", "agent ended without a result"),
            Behavior::SlowTool => self.slow_tool(stub.ticks).await,
            Behavior::CostOverrun => succeeded("Spent a fortune.", OVERRUN),
            Behavior::MidStreamError => {
                self.say("Starting on the task.").await;
                self.fail("stream broke off").await
            }
        }
    }

    async fn write_file(&self) -> AgentEnd {
        self.say("Writing down that this session took place.").await;
        self.tool_use("Write", json!({ "file_path": FILE })).await;
        let text = format!("Session {} ran here.\n", self.session_id);
        if let Err(error) = tokio::fs::write(self.workarea.join(FILE), text).await {
            return self.fail(&format!("failed to write {FILE}: {error}")).await;
        }
        self.tool_result("Write", "written").await;
        succeeded(&format!("Wrote {FILE}."), Usage { cost_usd: 0.0, input_tokens: 10, output_tokens: 20 })
    }

    async fn slow_tool(&self, ticks: u64) -> AgentEnd {
        self.tool_use("Bash", json!({ "command": "make slow" })).await;
        for _ in 0..ticks {
            tokio::time::sleep(TICK).await;
        }
        self.tool_result("Bash", "done").await;
        succeeded("The slow tool is done.", Usage::default())
    }

    async fn fail(&self, message: &str) -> AgentEnd {
        self.emit(AgentEvent::Error(message.to_owned())).await;
        failed("provider-error", message)
    }

    async fn say(&self, text: &str) {
        self.emit(AgentEvent::Said(text.to_owned())).await;
    }

    async fn tool_use(&self, name: &str, input: Value) {
        self.emit(AgentEvent::ToolUse { name: name.to_owned(), id: "tool-1".to_owned(), input }).await;
    }

    async fn tool_result(&self, name: &str, output: &str) {
        let (name, output) = (name.to_owned(), output.to_owned());
        self.emit(AgentEvent::ToolResult { name, id: "tool-1".to_owned(), output }).await;
    }

    async fn emit(&self, event: AgentEvent) {
        self.driver.emit(event).await;
    }
}

/// More than any sensible budget.
const OVERRUN: Usage = Usage { cost_usd: 9_999.0, input_tokens: 40_000_000, output_tokens: 10_000_000 };

fn succeeded(message: &str, usage: Usage) -> AgentEnd {
    AgentEnd { message: Some(message.to_owned()), usage, ..AgentEnd::default() }
}

fn failed(mode: &'static str, message: &str) -> AgentEnd {
    AgentEnd { failure: Some(Failure { mode, message: message.to_owned() }), ..AgentEnd::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rensei_proto::{ResolvedProfile, SessionId};

    #[test]
    fn configuration_wins_over_environment() {
        let detail = |config: Value| SessionDetail {
            resolved_profile: Some(ResolvedProfile {
                provider_config: config.as_object().cloned().unwrap(),
                ..ResolvedProfile::default()
            }),
            ..SessionDetail::new(SessionId::parse("s").unwrap())
        };
        let env = BTreeMap::from([("DONMAI_STUB_MODE".to_owned(), "silent-fail".to_owned())]);
        let behavior = |config: Value, env: &BTreeMap<String, String>| Stub::configured(&detail(config), env).behavior;
        assert_eq!(behavior(json!({"stub.behavior": "slow-tool"}), &env), Behavior::SlowTool);
        assert_eq!(behavior(json!({}), &env), Behavior::SilentFail);
        assert_eq!(behavior(json!({"stub.behavior": "no such"}), &env), Behavior::SucceedWithPr);
        assert_eq!(behavior(json!({}), &BTreeMap::new()), Behavior::SucceedWithPr);
    }
}
