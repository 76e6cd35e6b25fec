//! One session from its detail to its outcome.

use crate::activity::Activities;
use crate::budget::Budget;
use crate::conclusion::Conclusion;
use crate::drive::{self, Cut, Observed};
use crate::interrupt::{Interrupt, Interrupts};
use crate::kits::{self, Kits, Place};
use crate::link::{Link, is_transient, patience};
use crate::preflight::{Prepared, Start};
use crate::publish::{self, Publication};
use crate::runtime::{self, AgentEvent, AgentRuntime, AgentSpec, Failure, RuntimeError};
use crate::task::Task;
use crate::{agent_env, lease, prompt, text};
use rensei_control_api::ControlError;
use rensei_proto::control::{KitSettings, Workarea};
use rensei_proto::platform::StatusRequest;
use rensei_proto::{SessionDetail, SessionStatus, error_chain};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

/// How long the end waits for a report of progress that is still on its way.
const SETTLE: Duration = Duration::from_secs(5);
/// Pauses between the attempts to report progress.
const FIRST_DELAY: Duration = Duration::from_millis(500);
const MAX_DELAY: Duration = Duration::from_secs(15);

/// What all steps of a session share.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) detail: SessionDetail,
    pub(crate) link: Option<Arc<Link>>,
    pub(crate) interrupts: Interrupts,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) activities: Activities,
    start: Start,
    dir: Option<PathBuf>,
    _lease: Option<Task<()>>,
}

/// What a session is still waiting for.
struct Waiting {
    workarea: Pending,
    kits: Task<Option<KitSettings>>,
    raw_output: Option<std::fs::File>,
}

/// A workarea that is being made.
type Pending = Task<Result<Workarea, ControlError>>;

/// Runs the session. Returns when nothing more happens in the workarea; activities may still be on their way.
pub(crate) async fn run(prepared: Prepared, interrupts: Interrupts) -> (Conclusion, Activities) {
    let Prepared { detail, link, workarea, kits, dir, env, raw_output, start, .. } = prepared;
    let session = Session {
        _lease: link.clone().map(|link| keep_lease(link, interrupts.clone())),
        activities: Activities::start(link.clone(), detail.provider()),
        detail,
        link,
        interrupts,
        env,
        start,
        dir,
    };
    let conclusion = session.conclude(Waiting { workarea, kits, raw_output }).await;
    (conclusion, session.activities)
}

fn keep_lease(link: Arc<Link>, interrupts: Interrupts) -> Task<()> {
    Task::spawn(async move {
        let interrupt = lease::keep(&link).await;
        interrupts.raise(interrupt);
    })
}

impl Session {
    async fn conclude(&self, waiting: Waiting) -> Conclusion {
        let Waiting { workarea: pending, kits, raw_output } = waiting;
        let runtime = match runtime::resolve(&self.detail, &self.env) {
            Ok(runtime) => runtime,
            Err(error) => return Conclusion::failed(start_failure(&error)),
        };
        let workarea = match self.interrupts.guard(pending).await {
            Ok(Ok(workarea)) => workarea,
            Ok(Err(error)) => return Conclusion::failed(provision_failure(&error)),
            Err(interrupt) => return Conclusion::interrupted(interrupt),
        };
        let env = agent_env::compose(&self.env, &self.detail);
        let output = raw_output.as_ref().and_then(|file| file.try_clone().ok());
        let place = Place {
            workarea: Path::new(&workarea.path),
            session: self.dir.as_deref(),
            work_type: &self.detail.work_type,
            env: &env,
            output: output.as_ref(),
        };
        let conclusion = match self.interrupts.guard(self.apply_kits(kits, &place)).await {
            Ok(Ok(kits)) => {
                let conclusion = self.work(runtime.as_ref(), &workarea, (&kits, &env), raw_output).await;
                // Whatever interrupts a hook after the work was published changes nothing of it.
                let _interrupted = self.interrupts.guard(kits.release(&place)).await;
                conclusion
            }
            Ok(Err(failure)) => Conclusion::failed(failure),
            Err(interrupt) => Conclusion::interrupted(interrupt),
        };
        conclusion.in_workarea(&workarea)
    }

    /// Finds the kits that apply and sets up what they bring.
    async fn apply_kits(&self, settings: Task<Option<KitSettings>>, place: &Place<'_>) -> Result<Kits, Failure> {
        let started = Instant::now();
        let Some(settings) = settings.await else { return Ok(Kits::default()) };
        let kits = kits::find(settings, place).await?;
        if !kits.is_empty() {
            kits.set_up(place).await?;
            self.activities.step("kits", &kits.summary(), started.elapsed());
        }
        Ok(kits)
    }

    /// Runs the agent in its workarea and publishes what it left.
    async fn work(
        &self,
        runtime: &dyn AgentRuntime,
        workarea: &Workarea,
        (kits, env): (&Kits, &BTreeMap<String, String>),
        raw_output: Option<std::fs::File>,
    ) -> Conclusion {
        let spec = AgentSpec {
            session_id: self.detail.session_id.to_string(),
            workarea: PathBuf::from(&workarea.path),
            prompt: kits.extend(prompt::with_notes(prompt::prompt(&self.detail), &workarea.notes)),
            env: env.iter().chain(&kits.env).map(|(name, value)| (name.clone(), value.clone())).collect(),
            raw_output,
        };
        let agent = match runtime.spawn(spec) {
            Ok(agent) => agent,
            Err(error) => return Conclusion::failed(start_failure(&error)),
        };
        let running = self.announce(SessionStatus::Running, workarea);
        self.announce_workarea(workarea);
        let budget = Budget::new(&self.detail, self.start.monotonic);
        let observed = drive::follow(agent, budget, &self.interrupts, &self.activities).await;
        settle(running).await;
        self.finish(observed, workarea).await
    }

    /// Publishes unless the agent was cut off. Work that is lost with a failed agent helps nobody, so a failure by
    /// itself does not keep it from being pushed.
    async fn finish(&self, observed: Observed, workarea: &Workarea) -> Conclusion {
        let publication = match &observed.cut {
            Some(Cut::Interrupted(interrupt)) => return Conclusion::interrupted(interrupt.clone()).after(observed),
            Some(Cut::Breached(breach)) => {
                let failure = Failure { mode: breach.failure_mode, message: breach.message.clone() };
                return Conclusion::failed(failure).after(observed);
            }
            None => {
                self.announce_failure(&observed);
                self.publish(&observed, workarea).await
            }
        };
        match publication {
            Err(interrupt) => Conclusion::interrupted(interrupt).after(observed),
            Ok(Publication { state, failure }) => {
                let failure = join(observed.end.failure.clone(), failure);
                let conclusion = failure.map_or_else(Conclusion::completed, Conclusion::failed);
                conclusion.after(observed).with(state)
            }
        }
    }

    async fn publish(&self, observed: &Observed, workarea: &Workarea) -> Result<Publication, Interrupt> {
        let publication = self.interrupts.guard(publish::publish(self, &observed.end, workarea)).await?;
        match &publication.failure {
            Some(_) => self.interrupts.imminent().await.map_or(Ok(publication), Err),
            None => Ok(publication),
        }
    }

    /// A process that fails says so by its exit code only; scripted agents have said it themselves.
    fn announce_failure(&self, observed: &Observed) {
        if let (Some(failure), Some(_)) = (&observed.end.failure, observed.end.process) {
            self.activities.observe(&AgentEvent::Error(failure.message.clone()));
        }
    }

    fn announce_workarea(&self, workarea: &Workarea) {
        let commit: String = workarea.commit.chars().take(12).collect();
        let mut content = format!("workarea at {commit} on branch {}", workarea.branch);
        workarea.notes.iter().for_each(|note| content.extend(["; ", note]));
        self.activities.step("workarea", &content, Duration::from_millis(workarea.duration_ms));
    }

    /// Reports progress in the background, again and again while the control plane is away: a session that it does not
    /// know to be running is given to another host.
    pub(crate) fn announce(&self, status: SessionStatus, workarea: &Workarea) -> Option<Progress> {
        let link = self.link.clone()?;
        let mut request = link.status_request(status);
        request.worktree_path = Some(workarea.path.clone());
        Some(Progress::post(link, request))
    }
}

/// A report of progress on its way.
pub(crate) struct Progress {
    /// Ends with the first attempt, whatever became of it.
    tried: oneshot::Receiver<()>,
    _insisting: Task<()>,
}

impl Progress {
    fn post(link: Arc<Link>, request: StatusRequest) -> Self {
        let (first_over, tried) = oneshot::channel();
        let insisting = Task::spawn(async move {
            let mut first_over = Some(first_over);
            let mut delay = FIRST_DELAY;
            loop {
                let answer = link.status(&request).await;
                drop(first_over.take());
                let Err(error) = answer else { return };
                tracing::debug!(error = error_chain(&error), status = request.status, "progress was not accepted");
                if !is_transient(&error) {
                    return;
                }
                sleep(patience(&error).unwrap_or(delay).min(MAX_DELAY)).await;
                delay = (delay * 2).min(MAX_DELAY);
            }
        });
        Self { tried, _insisting: insisting }
    }
}

/// Lets a report arrive before the next one leaves, so that they are accepted in order. One that did not get through is
/// given up: the next one says more.
pub(crate) async fn settle(report: Option<Progress>) {
    if let Some(mut report) = report {
        let _given_up = timeout(SETTLE, &mut report.tried).await;
    }
}

fn start_failure(error: &RuntimeError) -> Failure {
    Failure { mode: error.failure_mode(), message: error_chain(error) }
}

fn provision_failure(error: &ControlError) -> Failure {
    let message = format!("failed to get a workarea: {}", error_chain(error));
    Failure { mode: "worktree-provision", message: text::with_hint(message, error.hint()) }
}

/// The agent's failure is the session's; that its work could not be published either is added to it.
fn join(agent: Option<Failure>, publication: Option<Failure>) -> Option<Failure> {
    match (agent, publication) {
        (Some(agent), Some(publication)) => {
            Some(Failure { message: format!("{}; {}", agent.message, publication.message), ..agent })
        }
        (agent, publication) => agent.or(publication),
    }
}
