//! Included by the tests of several crates: what a test does that this machine does not let do its work.

/// Says why a test is passed over, and lets it count as passed: a developer may lack rights or tools. With
/// `POLLUX_TESTS_WHOLE` set, as `tests/run` does, which has both, it fails instead.
#[track_caller]
pub(crate) fn skip(why: &str) {
    let is_whole = std::env::var_os("POLLUX_TESTS_WHOLE").is_some();
    assert!(!is_whole, "skipped, where nothing may be: {why}");
    eprintln!("skipped: {why}");
}
