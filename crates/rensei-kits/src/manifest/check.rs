//! What a manifest must be beyond its types, and what is doubtful in one.

use super::{Manifest, Supports};
use crate::names;
use crate::target::{ARCHES, OSES};
use semver::{Version, VersionReq};

type Problem = (String, String);

/// The first thing that makes the manifest unusable.
pub(super) fn required(manifest: &Manifest) -> Result<(), Problem> {
    if manifest.kit.id.is_empty() {
        return Err(("kit.id".to_owned(), "is missing: give the kit a name such as \"team/rust\"".to_owned()));
    }
    patterns(manifest)?;
    let brought = manifest.provide.prompt_fragments.iter().enumerate();
    for (index, fragment) in brought {
        brought_file(format!("provide.prompt_fragments[{index}].file"), &fragment.file)?;
    }
    for (index, skill) in manifest.provide.skills.iter().enumerate() {
        brought_file(format!("provide.skills[{index}].file"), &skill.file)?;
    }
    for (path, digest) in &manifest.files {
        let key = format!("files.{path}");
        brought_file(key.clone(), path)?;
        if digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err((key, "must be a SHA-256 digest, 64 hexadecimal digits".to_owned()));
        }
    }
    Ok(())
}

fn patterns(manifest: &Manifest) -> Result<(), Problem> {
    let detect = &manifest.detect;
    let lists = [("files", &detect.files), ("files_all", &detect.files_all), ("not_files", &detect.not_files)];
    for (list, patterns) in lists {
        for (index, pattern) in patterns.iter().enumerate() {
            let key = format!("detect.{list}[{index}]");
            if !names::is_relative(pattern) {
                return Err((key, "must be a relative path without `..`".to_owned()));
            }
            if names::is_glob(pattern) && globset::Glob::new(pattern).is_err() {
                return Err((key, "is no glob: check its brackets and braces".to_owned()));
            }
        }
    }
    for (index, wanted) in detect.content_matches.iter().enumerate() {
        let key = format!("detect.content_matches[{index}]");
        if !names::is_relative(&wanted.file) {
            return Err((format!("{key}.file"), "must be a relative path without `..`".to_owned()));
        }
        if wanted.json_path.is_empty() && wanted.contains.is_empty() {
            return Err((key, "needs `json_path` or `contains`".to_owned()));
        }
        if !wanted.json_path.is_empty() && crate::detect::json_path(&wanted.json_path).is_none() {
            return Err((format!("{key}.json_path"), "must be a path such as $.dependencies.next".to_owned()));
        }
    }
    Ok(())
}

fn brought_file(key: String, path: &str) -> Result<(), Problem> {
    if path.is_empty() || names::is_relative(path) {
        Ok(())
    } else {
        Err((key, "must be a path below the kit, without `..`".to_owned()))
    }
}

/// What is there and will not do what somebody may expect.
pub(super) fn doubtful(manifest: &Manifest) -> Vec<Problem> {
    let mut found = Vec::new();
    let version = &manifest.kit.version;
    if !version.is_empty() && Version::parse(version).is_err() {
        found.push(("kit.version".to_owned(), "is no semantic version".to_owned()));
    }
    let range = &manifest.requires.rensei;
    if !range.is_empty() && VersionReq::parse(range).is_err() {
        found.push(("requires.rensei".to_owned(), "is no range of versions: ignored".to_owned()));
    }
    let Supports { os, arch } = &manifest.supports;
    for (key, values, known) in [("supports.os", os, &OSES[..]), ("supports.arch", arch, &ARCHES[..])] {
        let unknown = values.iter().enumerate().filter(|(_, value)| !known.contains(&value.as_str()));
        found
            .extend(unknown.map(|(index, _)| (format!("{key}[{index}]"), format!("is unknown: {}", known.join(", ")))));
    }
    found
}
