//! A target under libFuzzer, which brings `main` and all options. The target is named by the environment:
//! `FUZZ_TARGET=wire engine CORPUS…`.

#![no_main]

use fuzz::Target;
use libfuzzer_sys::fuzz_target;
use std::process::exit;
use std::sync::LazyLock;

static TARGET: LazyLock<&'static Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    fuzz::target(&name).unwrap_or_else(|| {
        eprintln!("FUZZ_TARGET={name} names no target; `fuzz list` does");
        exit(2)
    })
});

fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));
