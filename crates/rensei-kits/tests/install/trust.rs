//! The gate before anything is written.

use crate::fixture::{Home, Repo, kit};
use rensei_kits::{AllowedIdentity, TrustPolicy};
use rensei_proto::control::{KitInstallRequest, KitTrust, TrustMode};
use rensei_testkit::{Capture, Signing, Sigstore};

/// A host that asks for a signature of our instance.
fn strict(root: &std::path::Path, allowed: &[&str]) -> Home {
    std::fs::write(root, Sigstore::default().trusted_root()).unwrap();
    Home::trusting(TrustPolicy {
        mode: TrustMode::SignedByAllowlist,
        identities: allowed.iter().map(|text| AllowedIdentity::parse(text).unwrap()).collect(),
        root: Some(root.to_owned()),
        actor: Some("ops".to_owned()),
    })
}

fn signed_repo(manifest: &str) -> Repo {
    let repo = Repo::new();
    repo.put("a.kit.toml", manifest);
    let bundle = Sigstore::default().sign(manifest.as_bytes(), &Signing::default());
    repo.put("a.kit.toml.sigstore", &bundle.to_string());
    repo.commit();
    repo
}

#[tokio::test]
async fn a_signed_kit_passes_and_stays_verified() {
    let dir = tempfile::tempdir().unwrap();
    let home = strict(&dir.path().join("root.json"), &[&Signing::default().subject]);
    let installed = home.install("a", &signed_repo(&kit("a", "")).source()).await.unwrap().kit;
    assert_eq!(installed.trust, KitTrust::SignedVerified);
    assert_eq!(installed.signed_at, "2025-06-01T12:00:00Z");
    let listed = &home.registry().list().kits[0];
    assert_eq!((listed.trust, &listed.signer_id), (KitTrust::SignedVerified, &Signing::default().subject));
    let checked = home.registry().verify("a").unwrap();
    assert!(checked.ok && checked.details.contains("manifest sha256: "));
    // One changed byte on disk is seen by the next question.
    let path = home.path().join("a.kit.toml");
    std::fs::write(&path, kit("a", "# changed")).unwrap();
    assert_eq!(home.registry().list().kits[0].trust, KitTrust::SignedUnverified);
    assert!(home.registry().verify("a").unwrap().details.starts_with("verify: "));
}

#[tokio::test]
async fn what_is_not_trusted_leaves_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let home = strict(&dir.path().join("root.json"), &["somebody@example.com"]);
    let unsigned = Repo::new();
    unsigned.put("a.kit.toml", &kit("a", ""));
    unsigned.commit();
    for (repo, trust) in [(&unsigned, "unsigned"), (&signed_repo(&kit("a", "")), "signed-unverified")] {
        let error = home.install("a", &repo.source()).await.unwrap_err();
        assert_eq!(error.http_status(), 403);
        assert!(error.to_string().contains("trust gate rejected (signed-by-allowlist requires verified signature)"));
        let body = error.body(error.to_string());
        assert_eq!((&body.extra["kitId"], &body.extra["trust"]), (&"a".into(), &trust.into()));
        assert!(body.hint.unwrap().contains("trust.issuerSet"));
        assert_eq!(home.names(), [""; 0]);
    }
}

#[tokio::test]
async fn an_override_is_written_down_and_counts_once() {
    let dir = tempfile::tempdir().unwrap();
    let home = strict(&dir.path().join("root.json"), &[]);
    let repo = Repo::new();
    repo.put("a.kit.toml", &kit("a", ""));
    repo.commit();
    let request = |word: &str| KitInstallRequest {
        source: Some(repo.source()),
        trust_override: word.to_owned(),
        ..KitInstallRequest::default()
    };
    for other in ["", "allowed", "ALLOWED-THIS-ONCE", "allowed-always"] {
        assert_eq!(home.shared().install("a", request(other)).await.unwrap_err().http_status(), 403);
    }
    let log = Capture::install();
    let installed = home.shared().install("a", request("allowed-this-once")).await.unwrap();
    assert_eq!(installed.kit.trust, KitTrust::Unsigned, "what is known does not change");
    let text = log.log();
    for part in
        ["trust gate bypassed via trustOverride=allowed-this-once", "kitId=\"a\"", "signerId=", "actor=\"ops\"", "at="]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(home.shared().install("a", request("")).await.unwrap_err().http_status(), 403);
    let kit = &home.registry().active()[0];
    assert!(home.registry().refuses_to_run(kit).unwrap().contains("it is unsigned"));
}
