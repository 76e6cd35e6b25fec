//! The host's kits, applied to one session.
//!
//! What they say goes into the prompt and into `kits.json` beside the session's outcome; their hooks run around the agent.
//! Tool permissions are told, not enforced: a shell command cannot be held to them. Installing tools is left to whoever
//! makes the machine.

mod notes;

use crate::runtime::Failure;
use crate::text;
use rensei_kits::{
    BoundedCommand, Composition, Detection, Hook, Kit, Probing, Purpose, Registry, RegistryOptions, Target, TrustPolicy,
};
use rensei_proto::control::{KitSettings, KitTrust};
use rensei_proto::error_chain;
use rensei_workarea::blocking;
use serde_json::json;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long all hooks before the agent may take together, and all after it.
const SETUP: Duration = Duration::from_secs(600);
const RELEASE: Duration = Duration::from_secs(120);
/// What one hook may write.
const MAX_OUTPUT: usize = 16 << 20;
/// What of it a failure repeats.
const MAX_REPEATED: usize = 400;

/// Where kits are applied.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    /// The checkout.
    pub(crate) workarea: &'a Path,
    /// Directory of the session, for what is written beside the checkout.
    pub(crate) session: Option<&'a Path>,
    /// Type of work of the session.
    pub(crate) work_type: &'a str,
    /// Environment of the agent.
    pub(crate) env: &'a BTreeMap<String, String>,
    /// Gets a copy of what hooks write.
    pub(crate) output: Option<&'a std::fs::File>,
}

/// The kits that apply to a session.
#[derive(Debug, Default)]
pub(crate) struct Kits {
    composed: Composition,
    /// Kits that may run nothing, with the reason.
    refused: BTreeMap<String, String>,
    /// What the agent finds in its environment.
    pub(crate) env: BTreeMap<String, String>,
}

/// Finds out which kits apply, and writes down what they amount to.
///
/// # Errors
/// When kits that apply do not go together: the agent would be told one thing and another one.
pub(crate) async fn find(settings: KitSettings, place: &Place<'_>) -> Result<Kits, Failure> {
    let trust = TrustPolicy::from_settings(&settings).map_err(|error| failure("kit-conflict", error_chain(&error)))?;
    let scan_paths = settings.scan_paths.into_iter().map(PathBuf::from).collect();
    let options = RegistryOptions { scan_paths, trust, ..RegistryOptions::default() };
    let (tree, target) = (place.workarea.to_owned(), Target::host());
    let looked = blocking(move || {
        let registry = Registry::new(options);
        let kits = registry.active();
        let detection = if kits.is_empty() { None } else { Some(Detection::of(&tree, &kits, target)) };
        (Arc::new(registry), detection)
    });
    let (registry, detection) = looked.await;
    let Some(detection) = detection else { return Ok(Kits::default()) };
    let detection = detection.map_err(|error| failure("kit-conflict", error_chain(&error)))?;
    let probing = Probing { env: os_env(place.env), refusal: |kit: &Kit| registry.refuses_to_run(kit) };
    let detection = detection.probe(&probing).await.checked();
    let detection =
        detection.map_err(|error| failure("kit-conflict", text::with_hint(error_chain(&error), error.hint())))?;
    let refused = detection
        .matches
        .iter()
        .filter_map(|found| Some((found.kit.id().to_string(), registry.refuses_to_run(&found.kit)?)));
    let refused = refused.collect();
    let (work_type, unsigned_files) = (place.work_type.to_owned(), registry.trust().admits(KitTrust::Unsigned));
    let composed =
        blocking(move || Composition::of(&detection, Purpose { target, work_type: &work_type, unsigned_files })).await;
    let composed =
        composed.map_err(|error| failure("kit-conflict", text::with_hint(error_chain(&error), error.hint())))?;
    let env = variables(&composed, place.session);
    Ok(Kits { composed, refused, env })
}

impl Kits {
    /// Whether any kit applies.
    pub(crate) fn is_empty(&self) -> bool {
        self.composed.kits.is_empty()
    }

    /// One line for people.
    pub(crate) fn summary(&self) -> String {
        let kits = self.composed.kits.iter().map(|kit| {
            let root = rensei_kits::shown_root(&kit.root);
            format!(
                "{} in {root}",
                if kit.version.is_empty() { kit.id.clone() } else { format!("{}@{}", kit.id, kit.version) }
            )
        });
        let mut parts = vec![format!("kits: {}", kits.collect::<Vec<_>>().join(", "))];
        parts.extend(self.composed.warnings.iter().cloned());
        parts.join("; ")
    }

    /// The prompt with what the kits say.
    pub(crate) fn extend(&self, prompt: String) -> String {
        let notes = notes::notes(&self.composed);
        match (prompt.trim().is_empty(), notes.is_empty()) {
            (_, true) => prompt,
            (true, false) => notes,
            (false, false) => format!("{}\n\n{notes}", prompt.trim_end()),
        }
    }

    /// Runs what is to run before the agent.
    ///
    /// # Errors
    /// When one of them fails: the agent would work in a place that is not ready.
    pub(crate) async fn set_up(&self, place: &Place<'_>) -> Result<(), Failure> {
        self.run_all(&self.composed.post_acquire, place, SETUP).await.map_err(|message| failure("kit-setup", message))
    }

    /// Runs what is to run after the work was published. A failure is mentioned and costs nothing.
    pub(crate) async fn release(&self, place: &Place<'_>) {
        if let Err(error) = self.run_all(&self.composed.pre_release, place, RELEASE).await {
            tracing::warn!(event = "kit.hook", error, "a hook after the session failed");
        }
    }

    async fn run_all(&self, hooks: &[Hook], place: &Place<'_>, limit: Duration) -> Result<(), String> {
        let until = Instant::now() + limit;
        for hook in hooks {
            if let Some(reason) = self.refused.get(&hook.kit) {
                tracing::warn!(event = "kit.hook", kit = hook.kit, reason, "hook not run");
                continue;
            }
            let limit = until.saturating_duration_since(Instant::now());
            self.run(hook, place, limit)
                .await
                .map_err(|why| format!("hook `{}` of kit {} {why}", hook.run, hook.kit))?;
        }
        Ok(())
    }

    async fn run(&self, hook: &Hook, place: &Place<'_>, limit: Duration) -> Result<(), String> {
        let mut env = os_env(place.env);
        env.extend(os_env(&self.env));
        let command = match &hook.script {
            Some(script) => {
                env.insert("RENSEI_KIT_SCRIPT".into(), script.into());
                "exec /bin/sh \"$RENSEI_KIT_SCRIPT\"".to_owned()
            }
            None => hook.run.clone(),
        };
        let cwd = place.workarea.join(&hook.root);
        let ran = BoundedCommand { command, cwd, env, limit, max_output: MAX_OUTPUT }.run().await;
        let ran = ran.map_err(|error| error_chain(&error))?;
        if let Some(mut output) = place.output {
            // A copy for people; the session does not depend on it.
            let _written = output.write_all(&ran.output);
        }
        if ran.end.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&ran.output);
        let last = said.trim().lines().next_back().unwrap_or_default();
        Err(text::with_hint(format!("failed with {}", ran.end), Some(text::one_line(last, MAX_REPEATED))))
    }
}

/// Writes the composition down, and names the files.
fn variables(composed: &Composition, session: Option<&Path>) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    if composed.kits.is_empty() {
        return env;
    }
    let ids = composed.kits.iter().map(|kit| format!("{}@{}", kit.id, kit.version));
    env.insert("RENSEI_KITS".to_owned(), ids.collect::<Vec<_>>().join(","));
    let mut put = |name: &str, file: &str, content: &serde_json::Value| {
        let Some(path) = session.map(|dir| dir.join(file)) else { return };
        match std::fs::write(&path, content.to_string()) {
            Ok(()) => {
                env.insert(name.to_owned(), path.to_string_lossy().into_owned());
            }
            Err(error) => tracing::warn!(event = "kit.file", path = %path.display(), %error, "not written"),
        }
    };
    put("RENSEI_KITS_FILE", "kits.json", &json!(composed));
    if !composed.mcp_servers.is_empty() {
        put("RENSEI_MCP_CONFIG", "mcp.json", &json!({"mcpServers": composed.mcp_servers}));
    }
    env
}

fn os_env(env: &BTreeMap<String, String>) -> BTreeMap<OsString, OsString> {
    env.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn failure(mode: &'static str, message: String) -> Failure {
    Failure { mode, message }
}
