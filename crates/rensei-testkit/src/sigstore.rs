//! A complete sigstore of our own: a certificate authority, a log of its certificates, a log of signatures. Its bundles are
//! as real as those of the public instance, against its own trusted root.

mod der;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use der::{Certificate, Name, context, generalized, integer, octets, oid, sequence, set, spki};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Keys and certificates of an instance.
#[derive(Debug)]
pub struct Sigstore {
    authority: SigningKey,
    certificate_log: SigningKey,
    signature_log: SigningKey,
    timestamps: SigningKey,
}

/// Who signs what, and what the instance says about it.
#[derive(Debug, Clone)]
pub struct Signing {
    /// Subject of the certificate: a URL, or an e-mail address.
    pub subject: String,
    /// Who vouched for the subject.
    pub issuer: String,
    /// When, Unix seconds.
    pub at: i64,
    /// How long before and after that the certificate is valid, seconds.
    pub valid: (i64, i64),
    /// Whether an RFC 3161 timestamp is added.
    pub timestamped: bool,
}

impl Default for Signing {
    fn default() -> Self {
        Self {
            subject: "https://ci.example.com/team/kits/sign.yml@refs/heads/main".to_owned(),
            issuer: "https://accounts.example.com".to_owned(),
            // 2025-06-01 12:00:00 UTC.
            at: 1_748_779_200,
            valid: (60, 540),
            timestamped: false,
        }
    }
}

impl Default for Sigstore {
    fn default() -> Self {
        Self::new(1)
    }
}

impl Sigstore {
    /// An instance; another number has other keys.
    #[must_use]
    pub fn new(number: u8) -> Self {
        let key = |role: u8| SigningKey::from_slice(&[number.max(1), role].repeat(16)).unwrap();
        Self { authority: key(1), certificate_log: key(2), signature_log: key(3), timestamps: key(4) }
    }

    /// The same with the log of signatures of another instance.
    #[must_use]
    pub fn with_signature_log_of(self, other: &Self) -> Self {
        Self { signature_log: other.signature_log.clone(), ..self }
    }

    /// The same with the authority of another instance.
    #[must_use]
    pub fn with_authority_of(self, other: &Self) -> Self {
        Self { authority: other.authority.clone(), ..self }
    }

    /// What a verifier has to trust, as JSON.
    #[must_use]
    pub fn trusted_root(&self) -> String {
        let since = json!({"start": "2020-01-01T00:00:00Z"});
        let log = |key: &SigningKey| {
            json!({
                "baseUrl": "https://log.example.com",
                "hashAlgorithm": "SHA2_256",
                "publicKey": {"rawBytes": b64(&spki(key)), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": since},
                "logId": {"keyId": b64(&log_id(key))},
            })
        };
        let authority = |certificate: &[u8]| {
            json!({
                "subject": {"organization": "example", "commonName": "example"},
                "uri": "https://ca.example.com",
                "certChain": {"certificates": [{"rawBytes": b64(certificate)}]},
                "validFor": since,
            })
        };
        let timestamps = json!({
            "subject": {"organization": "example", "commonName": "timestamps"},
            "uri": "https://tsa.example.com",
            "certChain": {"certificates": [
                {"rawBytes": b64(&self.timestamp_certificate())},
                {"rawBytes": b64(&self.authority_certificate())},
            ]},
            "validFor": since,
        });
        let root = json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(&self.signature_log)],
            "certificateAuthorities": [authority(&self.authority_certificate())],
            "ctlogs": [log(&self.certificate_log)],
            "timestampAuthorities": [timestamps],
        });
        root.to_string()
    }

    /// Signs an artifact with a key that exists for this one signature, and logs it between two others.
    #[must_use]
    pub fn sign(&self, artifact: &[u8], signing: &Signing) -> Value {
        let key = SigningKey::from_slice(&Sha256::digest(artifact)).unwrap();
        let signature = sign(&key, artifact);
        let certificate = self.signer_certificate(&key, signing);
        let body = log_body(artifact, &signature, &certificate);
        let mut bundle = json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": b64(&certificate)},
                "tlogEntries": [self.log_entry(&body, signing.at)],
            },
            "messageSignature": {
                "messageDigest": {"algorithm": "SHA2_256", "digest": b64(&Sha256::digest(artifact))},
                "signature": b64(&signature),
            },
        });
        if signing.timestamped {
            let token = b64(&self.timestamp(&signature, signing.at));
            bundle["verificationMaterial"]["timestampVerificationData"] =
                json!({"rfc3161Timestamps": [{"signedTimestamp": token}]});
        }
        bundle
    }

    fn authority_certificate(&self) -> Vec<u8> {
        Certificate {
            serial: 1,
            issuer: Name("authority"),
            subject: Name("authority"),
            valid: (1_577_836_800, 2_524_607_999),
            key: &self.authority,
            extensions: vec![der::basic_constraints_ca(), der::key_usage(&[0x02, 0x04])],
        }
        .signed_by(&self.authority)
    }

    fn timestamp_certificate(&self) -> Vec<u8> {
        Certificate {
            serial: 2,
            issuer: Name("authority"),
            subject: Name("timestamps"),
            valid: (1_577_836_800, 2_524_607_999),
            key: &self.timestamps,
            extensions: vec![
                der::key_usage(&[0x07, 0x80]),
                der::extension("2.5.29.37", true, &sequence(&[oid("1.3.6.1.5.5.7.3.8")])),
            ],
        }
        .signed_by(&self.authority)
    }

    fn signer_certificate(&self, key: &SigningKey, signing: &Signing) -> Vec<u8> {
        let kind = if signing.subject.contains("://") { 0x86 } else { 0x81 };
        let mut certificate = Certificate {
            serial: 3,
            issuer: Name("authority"),
            subject: Name(""),
            valid: (signing.at - signing.valid.0, signing.at + signing.valid.1),
            key,
            extensions: vec![
                der::key_usage(&[0x07, 0x80]),
                der::extension("2.5.29.37", false, &sequence(&[oid("1.3.6.1.5.5.7.3.3")])),
                der::extension("2.5.29.17", true, &sequence(&[der::tlv(kind, signing.subject.as_bytes())])),
                der::extension("1.3.6.1.4.1.57264.1.8", false, &der::tlv(0x0c, signing.issuer.as_bytes())),
            ],
        };
        let receipt = self.certificate_receipt(&certificate.to_be_signed(), signing.at);
        certificate.extensions.push(der::extension("1.3.6.1.4.1.11129.2.4.2", false, &octets(&receipt)));
        certificate.signed_by(&self.authority)
    }

    /// RFC 6962: that the log of certificates has seen this one, as a list of one.
    fn certificate_receipt(&self, to_be_signed: &[u8], at: i64) -> Vec<u8> {
        let millis = (at.unsigned_abs() * 1000).to_be_bytes();
        let length = u32::try_from(to_be_signed.len()).unwrap().to_be_bytes();
        let issuer = Sha256::digest(spki(&self.authority));
        let signed = [&[0, 0][..], &millis, &[0, 1], &issuer, &length[1..], to_be_signed, &[0, 0]].concat();
        let signature = sign(&self.certificate_log, &signed);
        let head = [&[0][..], &log_id(&self.certificate_log), &millis, &[0, 0, 4, 3]].concat();
        let receipt = [head, sized(&signature)].concat();
        sized(&sized(&receipt))
    }

    fn log_entry(&self, body: &[u8], at: i64) -> Value {
        let leaf = |content: &[u8]| hash(&[&[0], content]);
        let (before, after) = (leaf(b"before"), leaf(b"after"));
        let root = hash(&[&[1], &hash(&[&[1], &before, &leaf(body)]), &after]);
        let head = format!("log.example.com - 1\n3\n{}\n", b64(&root));
        let note = [&log_id(&self.signature_log)[..4], &sign(&self.signature_log, head.as_bytes())].concat();
        let id = log_id(&self.signature_log);
        let id_hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        // Keys in canonical order, without spaces.
        let promise = format!(r#"{{"body":"{}","integratedTime":{at},"logID":"{id_hex}","logIndex":1}}"#, b64(body));
        json!({
            "logIndex": "1",
            "logId": {"keyId": b64(&id)},
            "kindVersion": {"kind": "hashedrekord", "version": "0.0.1"},
            "integratedTime": at.to_string(),
            "inclusionPromise": {"signedEntryTimestamp": b64(&sign(&self.signature_log, promise.as_bytes()))},
            "inclusionProof": {
                "logIndex": "1",
                "rootHash": b64(&root),
                "treeSize": "3",
                "hashes": [b64(&before), b64(&after)],
                "checkpoint": {"envelope": format!("{head}\n\u{2014} log.example.com {}\n", b64(&note))},
            },
            "canonicalizedBody": b64(body),
        })
    }

    /// RFC 3161: that the signature was there at this time.
    fn timestamp(&self, signature: &[u8], at: i64) -> Vec<u8> {
        let sha256 = sequence(&[oid("2.16.840.1.101.3.4.2.1"), vec![5, 0]]);
        let imprint = sequence(&[sha256.clone(), octets(&Sha256::digest(signature))]);
        let info = sequence(&[integer(1), oid("1.2.3.4"), imprint, integer(7), generalized(at)]);
        let certificate = self.timestamp_certificate();
        let certificate_id = sequence(&[sequence(&[sequence(&[octets(&Sha256::digest(&certificate))])])]);
        let attribute = |name: &str, value: Vec<u8>| sequence(&[oid(name), set(&[value])]);
        let attributes = [
            attribute("1.2.840.113549.1.9.3", oid("1.2.840.113549.1.9.16.1.4")),
            attribute("1.2.840.113549.1.9.4", octets(&Sha256::digest(&info))),
            attribute("1.2.840.113549.1.9.16.2.47", certificate_id),
        ];
        let signed = set(&attributes);
        let content: Vec<u8> = signed[der::head(&signed)..].to_vec();
        let signer = sequence(&[
            integer(1),
            sequence(&[Name("authority").der(), integer(2)]),
            sha256.clone(),
            context(0, &content),
            der::ecdsa_sha256(),
            octets(&sign(&self.timestamps, &signed)),
        ]);
        let data = sequence(&[
            integer(3),
            set(&[sha256]),
            sequence(&[oid("1.2.840.113549.1.9.16.1.4"), context(0, &octets(&info))]),
            context(0, &certificate),
            set(&[signer]),
        ]);
        let token = sequence(&[oid("1.2.840.113549.1.7.2"), context(0, &data)]);
        sequence(&[sequence(&[integer(0)]), token])
    }
}

fn log_body(artifact: &[u8], signature: &[u8], certificate: &[u8]) -> Vec<u8> {
    let digest: String = Sha256::digest(artifact).iter().map(|byte| format!("{byte:02x}")).collect();
    let lines: Vec<String> =
        b64(certificate).as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"));
    format!(
        r#"{{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{{"data":{{"hash":{{"algorithm":"sha256","value":"{digest}"}}}},"signature":{{"content":"{}","publicKey":{{"content":"{}"}}}}}}}}"#,
        b64(signature),
        b64(pem.as_bytes())
    )
    .into_bytes()
}

fn sign(key: &SigningKey, message: &[u8]) -> Vec<u8> {
    let signature: DerSignature = key.sign(message);
    signature.as_bytes().to_vec()
}

/// A log is known by the digest of its key.
fn log_id(key: &SigningKey) -> Vec<u8> {
    Sha256::digest(spki(key)).to_vec()
}

fn hash(parts: &[&[u8]]) -> Vec<u8> {
    Sha256::digest(parts.concat()).to_vec()
}

/// With its length before it, two bytes.
fn sized(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

fn b64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
