//! Waiting for a long copy, with a bar on a terminal.

use crate::commands::Context;
use crate::commands::host::client::HostClient;
use crate::error::CommandResult;
use rensei_control_api::{ControlClient, ControlError};
use rensei_proto::control::CopyProgress;
use std::time::Duration;

/// Pause between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(150);

/// The answer to a call that copies a tree. On a terminal the daemon is asked meanwhile how far it is with `source`.
pub(super) async fn copying<T>(
    context: &Context,
    host: &HostClient,
    source: &str,
    call: impl AsyncFnOnce(&ControlClient) -> Result<T, ControlError>,
) -> CommandResult<T> {
    if !context.output.err_is_tty() {
        return host.ask(call).await;
    }
    let answer = host.ask(call);
    tokio::pin!(answer);
    let mut bar = context.output.bar();
    loop {
        tokio::select! {
            biased;
            // Pinned outside: waiting goes on where it was.
            answered = &mut answer => return answered,
            () = tokio::time::sleep(LOOK) => {}
        }
        // Only for the bar: what the call itself says counts.
        if let Ok(list) = host.ask(async |api| api.workareas().await).await
            && let Some(copy) = list.in_progress.iter().find(|copy| copy.source == source)
        {
            bar.show(&label(copy), copy.bytes, copy.total_bytes);
        }
    }
}

fn label(copy: &CopyProgress) -> String {
    format!("{} {}, {} entries", copy.operation, super::id::shown(&copy.source), copy.entries)
}
