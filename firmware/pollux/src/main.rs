//! The binary: `pollux::main`.

fn main() -> std::process::ExitCode {
    pollux::main()
}
