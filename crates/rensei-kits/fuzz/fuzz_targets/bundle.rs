//! No bytes but the right ones are a signature.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| rensei_kits::fuzzing::bundle(bytes));
