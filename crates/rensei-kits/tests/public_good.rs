//! The built-in root, on a bundle that a published package ships: the tests of `sigstore-verify` itself.

use rensei_kits::{AllowedIdentity, TrustRoot, Verifier};
use rensei_proto::control::KitTrust;

const ARTIFACT: &[u8] = include_bytes!("fixtures/cosign-v3-blob.txt");
const BUNDLE: &[u8] = include_bytes!("fixtures/cosign-v3-blob.sigstore.json");

#[test]
fn a_real_bundle_verifies_without_any_network() {
    let verifier = Verifier::new(&TrustRoot::PublicGood);
    assert_eq!(verifier.problem(), None);
    let signature = verifier.verify(ARTIFACT, Some(BUNDLE), &[]);
    assert_eq!(signature.trust, KitTrust::SignedVerified, "{}", signature.details);
    let signer = signature.signer.unwrap();
    assert!(signer.contains('@') || signer.contains("://"), "{signer}");
    assert!(signature.signed_at.unwrap().ends_with('Z'));
    assert!(signature.details.contains("public-good") && signature.details.contains("sha256: "));

    let other = [AllowedIdentity::parse("nobody@example.com").unwrap()];
    let refused = verifier.verify(ARTIFACT, Some(BUNDLE), &other);
    assert_eq!(refused.trust, KitTrust::SignedUnverified);
    assert!(refused.details.contains("is not in trust.issuerSet"), "{}", refused.details);
    assert_eq!(refused.signer.unwrap(), signer, "what the bundle claims is still told");
    let changed = verifier.verify(b"something else", Some(BUNDLE), &[]);
    assert_eq!(changed.trust, KitTrust::SignedUnverified);
}
