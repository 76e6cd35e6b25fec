//! Kits as the control API shows them.

use super::Entry;
use super::sources::LOCAL;
use rensei_proto::control::{KitDetail, KitSignature, KitStatus, KitSummary};

pub(super) fn summary(entry: &Entry) -> KitSummary {
    let manifest = &entry.kit.manifest;
    let (identity, provide) = (&manifest.kit, &manifest.provide);
    let warnings = entry.kit.warnings.iter().map(ToString::to_string);
    KitSummary {
        id: identity.id.to_string(),
        name: identity.name.clone(),
        version: identity.version.clone(),
        description: identity.description.clone(),
        author: identity.author.clone(),
        author_id: identity.author_identity.clone(),
        license: identity.license.clone(),
        homepage: identity.homepage.clone(),
        repository: identity.repository.clone(),
        priority: identity.priority,
        status: if entry.enabled { KitStatus::Active } else { KitStatus::Disabled },
        source: LOCAL.to_owned(),
        scope: "project".to_owned(),
        trust: entry.signature.trust,
        signer_id: signer(entry),
        signed_at: entry.signature.signed_at.clone().unwrap_or_default(),
        detect_files: manifest.detect.files.clone(),
        detect_exec: manifest.detect.exec.clone(),
        provides_commands: !provide.commands.is_empty(),
        provides_prompts: !provide.prompt_fragments.is_empty(),
        provides_tools: !provide.tool_permissions.is_empty(),
        provides_mcp_servers: !provide.mcp_servers.is_empty(),
        provides_skills: !provide.skills.is_empty(),
        provides_agents: !provide.agents.is_empty(),
        provides_a2a_skills: !provide.a2a_skills.is_empty(),
        provides_extractors: !provide.intelligence_extractors.is_empty(),
        path: entry.kit.path.to_string_lossy().into_owned(),
        shadows: entry.shadows.iter().map(|path| path.to_string_lossy().into_owned()).collect(),
        warnings: warnings.collect(),
    }
}

pub(super) fn detail(entry: &Entry) -> KitDetail {
    let manifest = &entry.kit.manifest;
    let provide = &manifest.provide;
    KitDetail {
        summary: summary(entry),
        supported_os: manifest.supports.os.clone(),
        supported_arch: manifest.supports.arch.clone(),
        requires_rensei: manifest.requires.rensei.clone(),
        requires_capabilities: manifest.requires.capabilities.clone(),
        conflicts_with: manifest.composition.conflicts_with.clone(),
        composes_with: manifest.composition.composes_with.clone(),
        order: manifest.composition.order.clone(),
        detect_toolchain: manifest.detect.toolchain.clone(),
        commands: provide.commands.clone(),
        mcp_server_names: provide.mcp_servers.iter().map(|server| server.name.clone()).collect(),
        skill_files: provide.skills.iter().map(|skill| skill.file.clone()).collect(),
        agent_ids: provide.agents.iter().map(|agent| agent.id.clone()).collect(),
        a2a_skill_ids: provide.a2a_skills.iter().map(|skill| skill.id.clone()).collect(),
        extractor_names: provide.intelligence_extractors.iter().map(|extractor| extractor.name.clone()).collect(),
    }
}

pub(super) fn signature(entry: &Entry) -> KitSignature {
    KitSignature {
        kit_id: entry.kit.id().to_string(),
        trust: entry.signature.trust,
        signer_id: signer(entry),
        signed_at: entry.signature.signed_at.clone().unwrap_or_default(),
        ok: true,
        details: entry.signature.details.clone(),
    }
}

/// Who the bundle says signed, else who the manifest says made it.
fn signer(entry: &Entry) -> String {
    entry.signature.signer.clone().unwrap_or_else(|| entry.kit.manifest.kit.author_identity.clone())
}
