//! Any bytes are a manifest or are refused with a place in them.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| rensei_kits::fuzzing::manifest(bytes));
