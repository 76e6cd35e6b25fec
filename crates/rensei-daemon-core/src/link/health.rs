//! How the connection stands, for people.

use super::{IdentityService, Link};
use rensei_platform_client::ClientError;
use rensei_proto::control::{Registration, RegistrationState};
use rensei_proto::error_chain;
use std::sync::PoisonError;

/// Clock difference worth telling the operator.
const NOTEWORTHY_SKEW_SECONDS: i64 = 60;

#[derive(Debug, Default)]
pub(super) struct Health {
    /// What was said when the registration token was refused, until it is accepted.
    pub(super) refused: Option<String>,
    pub(super) last_error: Option<String>,
    pub(super) last_heartbeat_at: Option<String>,
    pub(super) heartbeats: u64,
    pub(super) clock_skew_seconds: Option<i64>,
    pub(super) suspended: Option<String>,
}

impl<S: IdentityService + Send + Sync + 'static> Link<S> {
    pub(crate) fn note_failure(&self, error: &ClientError) {
        self.note_trouble(error_chain(error));
    }

    /// What came of asking for an identity; only a refusal is about the registration token.
    pub(super) fn note_asked(&self, error: &ClientError) {
        self.health().refused = matches!(error.status(), Some(401 | 403)).then(|| error_chain(error));
        self.changes.send_replace(());
    }

    /// Something keeps the host from working for this control plane.
    pub(crate) fn note_trouble(&self, text: String) {
        self.health().last_error = Some(text);
        self.changes.send_replace(());
    }

    pub(crate) fn note_heartbeat(&self, server_time: &str) {
        let now = self.now();
        let skew = server_time.parse::<jiff::Timestamp>().ok().map(|server| server.as_second() - now.as_second());
        let mut health = self.health();
        health.last_error = None;
        health.heartbeats += 1;
        health.last_heartbeat_at = Some(rensei_proto::rfc3339_seconds(now));
        health.clock_skew_seconds = skew.filter(|seconds| seconds.abs() > NOTEWORTHY_SKEW_SECONDS);
        self.changes.send_replace(());
    }

    /// Heartbeats that were accepted. One more means that the control plane still knows who this is.
    pub(crate) fn heartbeats(&self) -> u64 {
        self.health().heartbeats
    }

    pub(crate) fn note_suspended(&self, why: Option<String>) {
        let mut health = self.health();
        if health.suspended != why {
            tracing::info!(event = "host-status", status = why.as_deref().unwrap_or("ok"), "host status changed");
            health.suspended = why;
            self.changes.send_replace(());
        }
    }

    /// What `host status` shows.
    pub(crate) fn registration(&self) -> Registration {
        let current = self.cell.current();
        let health = self.health();
        let state = match (&current, health.refused.is_some(), &health.last_error) {
            (_, true, _) => RegistrationState::Refused,
            (None, false, _) => RegistrationState::Connecting,
            (Some(_), false, None) => RegistrationState::Registered,
            (Some(_), false, Some(_)) => RegistrationState::Unreachable,
        };
        Registration {
            state,
            url: self.url.clone(),
            worker_id: current.map(|credentials| credentials.worker_id.clone()).unwrap_or_default(),
            last_error: health.refused.clone().or_else(|| health.last_error.clone()),
            last_heartbeat_at: health.last_heartbeat_at.clone(),
            clock_skew_seconds: health.clock_skew_seconds,
            suspended: health.suspended.clone(),
        }
    }

    pub(super) fn health(&self) -> std::sync::MutexGuard<'_, Health> {
        // Plain data: a panic elsewhere cannot have left it half-changed in a way that matters.
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
