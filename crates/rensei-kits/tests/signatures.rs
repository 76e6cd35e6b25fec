//! Kits that are signed by a sigstore of our own, and everything that can be done to them afterwards.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use rensei_kits::{AllowedIdentity, Signature, TrustRoot, Verifier};
use rensei_proto::control::KitTrust;
use rensei_testkit::{Signing, Sigstore};
use serde_json::{Value, json};

const MANIFEST: &[u8] = b"[kit]\nid = \"team/rust\"\n";

fn verify(instance: &Sigstore, manifest: &[u8], bundle: &Value, allowed: &[&str]) -> Signature {
    let verifier = Verifier::new(&TrustRoot::Json(instance.trusted_root()));
    assert_eq!(verifier.problem(), None);
    let allowed: Vec<AllowedIdentity> = allowed.iter().map(|text| AllowedIdentity::parse(text).unwrap()).collect();
    verifier.verify(manifest, Some(bundle.to_string().as_bytes()), &allowed)
}

#[track_caller]
fn assert_refused(signature: &Signature, reason: &str) {
    assert_eq!(signature.trust, KitTrust::SignedUnverified, "{}", signature.details);
    assert!(signature.details.contains(reason), "{}", signature.details);
    assert_eq!(signature.signed_at, None);
}

#[test]
fn a_signed_kit_verifies_with_signer_and_time() {
    let instance = Sigstore::default();
    let signing = Signing::default();
    let bundle = instance.sign(MANIFEST, &signing);
    let signature = verify(&instance, MANIFEST, &bundle, &[]);
    assert_eq!(signature.trust, KitTrust::SignedVerified, "{}", signature.details);
    assert_eq!(signature.signer.as_deref(), Some(signing.subject.as_str()));
    assert_eq!(signature.signed_at.as_deref(), Some("2025-06-01T12:00:00Z"));

    let pinned = format!("{} {}", signing.subject, signing.issuer);
    for allowed in [&[signing.subject.as_str()][..], &["a@example.com", &pinned]] {
        assert_eq!(verify(&instance, MANIFEST, &bundle, allowed).trust, KitTrust::SignedVerified, "{allowed:?}");
    }
    let person = Signing { subject: "dev@example.com".to_owned(), ..signing };
    let signature = verify(&instance, MANIFEST, &instance.sign(MANIFEST, &person), &["dev@example.com"]);
    assert_eq!(signature.trust, KitTrust::SignedVerified, "{}", signature.details);
}

#[test]
fn a_timestamp_counts_too_and_must_be_right() {
    let instance = Sigstore::default();
    let signing = Signing { timestamped: true, ..Signing::default() };
    let mut bundle = instance.sign(MANIFEST, &signing);
    let signature = verify(&instance, MANIFEST, &bundle, &[]);
    assert_eq!(signature.trust, KitTrust::SignedVerified, "{}", signature.details);
    let other = instance.sign(b"other", &signing);
    let data = "timestampVerificationData";
    bundle["verificationMaterial"][data] = other["verificationMaterial"][data].clone();
    assert_refused(&verify(&instance, MANIFEST, &bundle, &[]), "verify: ");
}

#[test]
fn older_forms_of_bundles() {
    let instance = Sigstore::default();
    let mut bundle = instance.sign(MANIFEST, &Signing::default());
    let certificate = bundle["verificationMaterial"]["certificate"].take();
    let material = bundle["verificationMaterial"].as_object_mut().unwrap();
    material.remove("certificate");
    material.insert("x509CertificateChain".to_owned(), json!({"certificates": [certificate]}));
    for version in ["0.1", "0.2"] {
        bundle["mediaType"] = json!(format!("application/vnd.dev.sigstore.bundle+json;version={version}"));
        let signature = verify(&instance, MANIFEST, &bundle, &[]);
        assert_eq!(signature.trust, KitTrust::SignedVerified, "{version}: {}", signature.details);
    }
    // The oldest form may lack the proof, but not here.
    bundle["mediaType"] = json!("application/vnd.dev.sigstore.bundle+json;version=0.1");
    bundle["verificationMaterial"]["tlogEntries"][0].as_object_mut().unwrap().remove("inclusionProof");
    assert_refused(&verify(&instance, MANIFEST, &bundle, &[]), "no inclusion proof");
}

#[test]
fn every_tampering_has_its_reason() {
    let instance = Sigstore::default();
    let signing = Signing::default();
    let bundle = instance.sign(MANIFEST, &signing);
    let check = |manifest: &[u8], bundle: &Value| verify(&instance, manifest, bundle, &[]);

    assert_refused(&check(b"[kit]\nid = \"team/rust\"\n\n", &bundle), "verify: ");
    assert_refused(&check(b"[kit]\r\nid = \"team/rust\"\r\n", &bundle), "verify: ");
    assert_refused(&check(MANIFEST, &instance.sign(b"another file", &signing)), "verify: ");
    let wrong = verify(&instance, MANIFEST, &bundle, &["https://ci.example.com/other"]);
    assert_refused(&wrong, "is not in trust.issuerSet");
    assert_eq!(wrong.signer.as_deref(), Some(signing.subject.as_str()), "what it claims is told");
    let issuer = format!("{} https://evil.example.com", signing.subject);
    assert_refused(&verify(&instance, MANIFEST, &bundle, &[&issuer]), "is not in trust.issuerSet");

    let expired = Signing { valid: (3600, -1800), ..signing.clone() };
    assert_refused(&check(MANIFEST, &instance.sign(MANIFEST, &expired)), "Expired");
    let early = Signing { valid: (-1800, 3600), ..signing.clone() };
    assert_refused(&check(MANIFEST, &instance.sign(MANIFEST, &early)), "verify: ");
    let other = Sigstore::new(7);
    assert_refused(&check(MANIFEST, &other.sign(MANIFEST, &signing)), "verify: ");
    let log = Sigstore::default().with_signature_log_of(&other).sign(MANIFEST, &signing);
    assert_refused(&check(MANIFEST, &log), "verify: ");
    let authority = Sigstore::default().with_authority_of(&other).sign(MANIFEST, &signing);
    assert_refused(&check(MANIFEST, &authority), "verify: ");
}

/// A value somewhere in a bundle, the way to spoil it, and the reason that follows.
type Spoiled = (&'static str, fn(&mut Value), &'static str);

#[test]
fn every_part_of_a_bundle_counts() {
    let entry = "/verificationMaterial/tlogEntries/0";
    let flip: fn(&mut Value) = |value| {
        // Another letter in the middle of base64 is another value.
        let mut text = value.as_str().unwrap().to_owned();
        let middle = text.len() / 2;
        let letter = if text.as_bytes()[middle] == b'A' { "B" } else { "A" };
        text.replace_range(middle..=middle, letter);
        *value = json!(text);
    };
    let remove: fn(&mut Value) = |value| *value = Value::Null;
    let cases: &[Spoiled] = &[
        ("/inclusionProof", remove, "no inclusion proof"),
        ("/inclusionProof/hashes/0", flip, "verify: "),
        ("/inclusionProof/hashes", |value| *value = json!([]), "verify: "),
        ("/inclusionProof/rootHash", flip, "verify: "),
        ("/inclusionProof/checkpoint/envelope", |value| *value = json!("x"), "e"),
        ("/inclusionProof/logIndex", |value| *value = json!("0"), "verify: "),
        ("/inclusionProof/treeSize", |value| *value = json!("2"), "verify: "),
        ("/inclusionPromise/signedEntryTimestamp", flip, "verify: "),
        ("/inclusionPromise", remove, "verify: "),
        ("/integratedTime", |value| *value = json!("1748779201"), "verify: "),
        ("/logId/keyId", flip, "verify: "),
        ("/canonicalizedBody", flip, "verify: "),
    ];
    let instance = Sigstore::default();
    let good = instance.sign(MANIFEST, &Signing::default());
    for (path, spoil, reason) in cases {
        let mut bundle = good.clone();
        spoil(bundle.pointer_mut(&format!("{entry}{path}")).unwrap());
        let signature = verify(&instance, MANIFEST, &bundle, &[]);
        assert_eq!(signature.trust, KitTrust::SignedUnverified, "{path}: {}", signature.details);
        assert!(signature.details.contains(reason), "{path}: {}", signature.details);
    }
    for path in ["/verificationMaterial/certificate/rawBytes", "/messageSignature/signature"] {
        let mut bundle = good.clone();
        flip(bundle.pointer_mut(path).unwrap());
        assert_eq!(verify(&instance, MANIFEST, &bundle, &[]).trust, KitTrust::SignedUnverified, "{path}");
    }
}

#[test]
fn what_is_no_bundle_says_so() {
    let instance = Sigstore::default();
    let verifier = Verifier::new(&TrustRoot::Json(instance.trusted_root()));
    let bundle = instance.sign(MANIFEST, &Signing::default()).to_string();
    for length in [0, 1, bundle.len() / 3, bundle.len() - 1] {
        let signature = verifier.verify(MANIFEST, Some(&bundle.as_bytes()[..length]), &[]);
        assert_refused(&signature, "parse bundle: ");
    }
    for (text, reason) in
        [("{}", "no mediaType"), (r#"{"mediaType":"x"}"#, "unknown mediaType"), ("\u{0}", "parse bundle")]
    {
        assert_refused(&verifier.verify(MANIFEST, Some(text.as_bytes()), &[]), reason);
    }
    assert_eq!(verifier.verify(MANIFEST, None, &[]).trust, KitTrust::Unsigned);
    assert_refused(&verifier.verify(MANIFEST, Some(&vec![b' '; 5 << 20]), &[]), "larger than");
}

#[test]
fn without_a_usable_root_nothing_verifies() {
    let bundle = Sigstore::default().sign(MANIFEST, &Signing::default()).to_string();
    for root in [TrustRoot::Json("{".to_owned()), TrustRoot::File("/no/such/root.json".into())] {
        let verifier = Verifier::new(&root);
        assert!(verifier.problem().unwrap().contains("cannot be used"));
        assert_refused(&verifier.verify(MANIFEST, Some(bundle.as_bytes()), &[]), "no trusted material configured");
    }
    let public = Verifier::new(&TrustRoot::PublicGood).verify(MANIFEST, Some(bundle.as_bytes()), &[]);
    assert_refused(&public, "verify: ");
}
