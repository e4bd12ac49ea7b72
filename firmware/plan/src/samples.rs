//! Configs for tests.
