//! `.state.json`: what operators have switched off. A kit or source that is not named is on.

use super::store;
use rensei_process::open_child_file;
use serde::{Deserialize, Serialize};
use std::io::{self, Read};
use std::path::Path;

const FILE: &str = ".state.json";
const MAX: u64 = 1 << 20;

/// Ids and names in the order in which they were switched off.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct State {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    disabled_ids: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    disabled_sources: Vec<String>,
}

impl State {
    /// What cannot be read is mentioned and counts as nothing.
    pub(super) fn load(home: &Path) -> Self {
        let path = home.join(FILE);
        let mut text = Vec::new();
        let read = open_child_file(&path).and_then(|file| file.take(MAX).read_to_end(&mut text));
        let parsed = match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::default(),
            Err(error) => Err(error.to_string()),
            Ok(_) => serde_json::from_slice(&text).map_err(|error| error.to_string()),
        };
        parsed.unwrap_or_else(|error| {
            tracing::warn!(event = "kit.state", path = %path.display(), error, "everything counts as enabled");
            Self::default()
        })
    }

    pub(super) fn save(&self, home: &Path) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        store::make_home(home)?;
        store::write_atomically(&home.join(FILE), &text)
    }

    pub(super) fn kit_enabled(&self, id: &str) -> bool {
        !self.disabled_ids.iter().any(|disabled| disabled == id)
    }

    pub(super) fn source_enabled(&self, name: &str) -> bool {
        !self.disabled_sources.iter().any(|disabled| disabled == name)
    }

    pub(super) fn set_kit(&mut self, id: &str, enabled: bool) {
        set(&mut self.disabled_ids, id, enabled);
    }

    pub(super) fn set_source(&mut self, name: &str, enabled: bool) {
        set(&mut self.disabled_sources, name, enabled);
    }
}

fn set(disabled: &mut Vec<String>, name: &str, enabled: bool) {
    if enabled {
        disabled.retain(|other| other != name);
    } else if !disabled.iter().any(|other| other == name) {
        disabled.push(name.to_owned());
    }
}
