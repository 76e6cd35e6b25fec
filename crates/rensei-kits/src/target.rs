//! The machine that a kit is to work on.

use crate::manifest::Manifest;
use semver::{Version, VersionReq};

/// Names of operating systems in manifests.
pub(crate) const OSES: [&str; 3] = ["linux", "macos", "windows"];
/// Names of architectures in manifests.
pub(crate) const ARCHES: [&str; 2] = ["x86_64", "arm64"];

/// Version of the kit contract that `requires.rensei` is compared with.
pub const CONTRACT_VERSION: Version = Version::new(1, 0, 0);

/// A kind of machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// One of `linux`, `macos`, `windows`.
    pub os: &'static str,
    /// `x86_64` or `arm64`; none: not known, any will do.
    pub arch: Option<&'static str>,
}

impl Target {
    /// The machine that this program was built for. An unknown system counts as Linux.
    #[must_use]
    pub fn host() -> Self {
        let os = OSES.into_iter().find(|os| *os == std::env::consts::OS).unwrap_or("linux");
        let arch = match std::env::consts::ARCH {
            "x86_64" => Some("x86_64"),
            "aarch64" => Some("arm64"),
            _ => None,
        };
        Self { os, arch }
    }

    /// Why the kit does not work here.
    #[must_use]
    pub fn refusal(&self, manifest: &Manifest) -> Option<String> {
        let lacks = |list: &[String], name: &str| !list.is_empty() && !list.iter().any(|entry| entry == name);
        let (os, arch) = (&manifest.supports.os, &manifest.supports.arch);
        if lacks(os, self.os) {
            return Some(format!("it is for {}, not {}", os.join(", "), self.os));
        }
        if let Some(name) = self.arch.filter(|name| lacks(arch, name)) {
            return Some(format!("it is for {}, not {name}", arch.join(", ")));
        }
        let range = VersionReq::parse(&manifest.requires.rensei).ok()?;
        (!range.matches(&CONTRACT_VERSION)).then(|| format!("it requires rensei {range}, this is {CONTRACT_VERSION}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_architectures_and_versions() {
        let linux = Target { os: "linux", arch: Some("x86_64") };
        let refusal = |os: &[&str], arch: &[&str], range: &str| {
            let mut manifest = Manifest::default();
            manifest.supports.os = os.iter().map(ToString::to_string).collect();
            manifest.supports.arch = arch.iter().map(ToString::to_string).collect();
            manifest.requires.rensei = range.to_owned();
            linux.refusal(&manifest)
        };
        assert_eq!(refusal(&[], &[], ""), None);
        assert_eq!(refusal(&["macos", "linux"], &["x86_64"], "^1.0"), None);
        assert_eq!(refusal(&[], &[], "latest"), None, "what cannot be read rejects no kit");
        assert_eq!(refusal(&["macos"], &[], "").unwrap(), "it is for macos, not linux");
        assert_eq!(refusal(&[], &["arm64"], "").unwrap(), "it is for arm64, not x86_64");
        assert_eq!(refusal(&[], &[], "^2").unwrap(), "it requires rensei ^2, this is 1.0.0");
    }
}
