//! Who sent a session.

use crate::link::Link;
use crate::org::Org;
use std::sync::Arc;

/// Who sent a session. It keeps what belongs to an organisation for as long as the session needs it.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// An organisation's control plane, which wants to hear of its end.
    Platform(Arc<Org>),
    /// Somebody on this machine.
    Local,
}

impl Origin {
    /// The organisation whose session it is.
    pub(crate) const fn org(&self) -> Option<&Arc<Org>> {
        match self {
            Self::Platform(org) => Some(org),
            Self::Local => None,
        }
    }

    /// Where to report it.
    pub(crate) fn link(&self) -> Option<&Arc<Link>> {
        self.org().and_then(|org| org.link())
    }

    /// Whether `org` sent it.
    pub(crate) fn is_of(&self, org: &Org) -> bool {
        self.org().is_some_and(|sender| std::ptr::eq(Arc::as_ptr(sender), org))
    }

    /// Whether it began on this machine, so that nobody else wants to hear of its end.
    pub(crate) const fn is_local(&self) -> bool {
        matches!(self, Self::Local)
    }
}
