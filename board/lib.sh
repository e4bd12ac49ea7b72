# Sourced by the scripts that build and test: what they say, which Debian packages they need, which Rust they use.
# Installs only what is missing (apt, with sudo where needed), says so, and is quiet when nothing is.
# shellcheck shell=bash disable=SC2034 # what is set here is for those who source it

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${POLLUX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pollux}
musl_target=x86_64-unknown-linux-musl
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}
# /init is built with other settings than host tools, which share crates with it: side by side they would be built anew each time.
init_target_dir=$CARGO_TARGET_DIR/init
init_binary=$init_target_dir/$musl_target/release/pollux

say() { printf '%s\n' "$@" >&2; }
die() { say "$@"; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else die "setup: not root and no sudo; as root, run: $*"
  fi
}

# Prints those of the named packages that are not installed, one a line.
missing_packages() {
  local name
  for name in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$name" 2>/dev/null)" = 'ii ' ] || printf '%s\n' "$name"
  done
}

# Makes sure that the named Debian packages are there.
need_packages() {
  local missing
  mapfile -t missing < <(missing_packages "$@")
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || die "setup: this is no Debian; install what these packages hold: ${missing[*]}"
  say "setup: installing ${missing[*]}"
  mkdir -p "$cache"
  local log=$cache/setup.log
  as_root env DEBIAN_FRONTEND=noninteractive bash "$root/board/apt-install" "${missing[@]}" >"$log" 2>&1 ||
    { tail -n 15 "$log" >&2; die "setup: apt could not install them; whole log: $log"; }
}

# need_listed FOLDER…: the packages in each folder's packages.txt.
need_listed() {
  local names=() folder
  for folder in "$@"; do mapfile -t -O ${#names[@]} names <"$root/$folder/packages.txt"; done
  need_packages "${names[@]}"
}

# True when the cargo and rustc that PATH finds work and are new enough for this workspace.
rust_suffices() {
  local wanted found
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")
  cargo --version >/dev/null 2>&1 && found=$(rustc --version 2>/dev/null | cut -d' ' -f2) || return 1
  [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ]
}

# Debian's own toolchain comes first on PATH from here on; a rustup before it would answer for it otherwise.
use_debian_rust() { PATH=/usr/bin:$PATH; export RUSTC=/usr/bin/rustc; }

# Makes sure of a Rust toolchain: the one on PATH if it suffices, else Debian's.
use_rust() {
  need_packages gcc libc6-dev
  rust_suffices && return
  need_packages cargo-web rustc-web
  use_debian_rust
  rust_suffices || die "setup: neither the Rust on PATH nor Debian's cargo-web is new enough (see rust-version in Cargo.toml)"
}

# Makes sure of `cargo fmt` and `cargo clippy` for the toolchain that use_rust chose.
use_rust_checks() {
  if cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1; then return; fi
  if command -v rustup >/dev/null && rustup component add clippy rustfmt >/dev/null 2>&1; then return; fi
  need_packages cargo-web rustc-web rustfmt-web rust-web-clippy
  use_debian_rust
}
