//! Changes that the control plane asks for. All of them may be asked for twice.

use super::heartbeat::MAX_TEXT;
use crate::config::{Edit, NewProject};
use crate::host::Host;
use crate::org::Org;
use rensei_proto::platform::PendingMutation;
use rensei_proto::{SessionId, error_chain};

/// Serve one more project.
const PROJECT_ADD: &str = "project.add";
/// Serve one project less.
const PROJECT_REMOVE: &str = "project.remove";

/// Performs one. The error is for the people on the other side.
pub(super) async fn apply(host: &Host, org: &Org, mutation: &PendingMutation) -> Result<(), String> {
    match mutation.op.as_str() {
        PendingMutation::SESSION_KILL => kill(host, org, mutation),
        PROJECT_ADD => {
            let (id, repository) = (required(mutation, "id")?, required(mutation, "repository")?);
            let project = NewProject { id: id.to_owned(), repository: repository.to_owned(), ..NewProject::default() };
            write(host, org, id, true, Edit::AddProject(project)).await
        }
        PROJECT_REMOVE => {
            let id = required(mutation, "id")?;
            write(host, org, id, false, Edit::RemoveProject { id: id.to_owned() }).await
        }
        other => Err(format!("unsupported mutation op `{}`", &other[..other.floor_char_boundary(MAX_TEXT)])),
    }
}

fn text<'a>(mutation: &'a PendingMutation, key: &str) -> Option<&'a str> {
    mutation.params.get(key).and_then(serde_json::Value::as_str).filter(|text| !text.trim().is_empty())
}

fn required<'a>(mutation: &'a PendingMutation, key: &str) -> Result<&'a str, String> {
    text(mutation, key).ok_or_else(|| format!("{} requires {key}", mutation.op))
}

fn kill(host: &Host, org: &Org, mutation: &PendingMutation) -> Result<(), String> {
    let id = SessionId::parse(required(mutation, "sessionId")?).map_err(|error| error.to_string())?;
    // A session that is not here any more is as good as killed. One of somebody else is not here.
    host.sessions.stop_of(org, &id, text(mutation, "reason").map(str::to_owned));
    Ok(())
}

/// Changes the organisation's file, then the host. A file that cannot be written leaves the host as it is.
async fn write(host: &Host, org: &Org, id: &str, wanted: bool, edit: Edit) -> Result<(), String> {
    let served = org.allowlist.projects().iter().any(|project| project.id == id);
    if served == wanted {
        return Ok(());
    }
    let written =
        org.file.update(vec![edit]).await.map_err(|error| format!("write config: {}", error_chain(&error)))?;
    if let Some(reloaded) = written {
        host.reload(&org.name, &org.file, &reloaded);
    }
    Ok(())
}
