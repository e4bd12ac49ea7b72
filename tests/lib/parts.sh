# Sourced by tests/run: the parts it consists of, in their order, and how to count what they say.
# shellcheck shell=bash disable=SC2034,SC2154 # board/lib.sh is sourced before, and what is set here is for tests/run

parts=(fmt clippy shell unit sim house deny buildroot fuzz image scenarios)
declare -A about=(
  [fmt]="sources are formatted"
  [clippy]="no warning from compiler or clippy"
  [shell]="no warning from shellcheck"
  [unit]="unit tests and those of host tools"
  [sim]="whole lives in the simulator: of a pair 20000, or SIM_COUNT=N; of state sync 4000, or STATE_COUNT=N"
  [house]="the house rules"
  [deny]="licences and origins of all dependencies"
  [buildroot]="Buildroot accepts our external tree (BUILDROOT_DIR names a Buildroot tree; skipped without)"
  [fuzz]="every decoder withstands FUZZ_SECONDS (60) of fuzzing"
  [image]="kernel, /init and ISO are built, the ISO twice to the same bytes, and none is too large"
  [scenarios]="the pair on real kernels in QEMU"
)
init_bytes_max=$((1536 * 1024))
iso_bytes_max=$((12 * 1024 * 1024))

# All that the parts need; what is there already costs a second.
setup() {
  need_listed board/kernel board/iso qemu tests
  use_rust
  use_rust_checks
}

# check_names NAME…: each is a part or a scenario; said at once, not after an hour of others.
check_names() {
  local name scenarios=
  for name in "$@"; do
    [ -z "${about[$name]:-}" ] || continue
    scenarios=${scenarios:-$(qemu/testbed test --list)}
    grep -q "^$name " <<<"$scenarios" || die "tests/run: neither a part nor a scenario: $name; see tests/run --list"
  done
}

part_fmt() { cargo fmt --all --check; }
part_clippy() { cargo clippy --workspace --all-targets --locked -- -D warnings; }

# Every test does all of its work: with root's rights, and without passing anything over. Compiled by whoever calls.
part_unit() {
  local status=0 runner=() tmp=$CARGO_TARGET_DIR/tmp
  if [ "$(id -u)" != 0 ]; then
    # Compiled first: the right that is asked for next may not last as long.
    CARGO_PROFILE_DEV_DEBUG=0 cargo test -q --workspace --locked --no-run || return
    runner=(--config "target.'cfg(all())'.runner = ['sudo', 'env', 'POLLUX_TESTS_WHOLE=1']")
    as_root true || return
  fi
  POLLUX_TESTS_WHOLE=1 CARGO_PROFILE_DEV_DEBUG=0 \
    cargo test --workspace --locked --no-fail-fast "${runner[@]}" || status=$?
  # What they wrote as root would be in the way of their caller's next.
  [ ${#runner[@]} = 0 ] || as_root chown -R "$(id -u):$(id -g)" "$tmp" || status=$?
  return $status
}
part_sim() {
  cargo run -q --locked -p sim --profile sim -- --count "${SIM_COUNT:-20000}" &&
    cargo run -q --locked -p sim --profile sim --bin state -- --count "${STATE_COUNT:-4000}"
}
part_house() { cargo run -q --locked -p house; }
part_fuzz() { firmware/fuzz/run; }
part_scenarios() { qemu/testbed test; }

part_shell() {
  local scripts
  mapfile -t scripts < <(grep -rlE '^#!/(usr/bin/env bash|bin/sh)|^# Sourced' --exclude-dir=target --exclude-dir=.git .)
  shellcheck -x -P SCRIPTDIR -S warning "${scripts[@]}"
}

# cargo-deny is in no Debian package: built once (three minutes), kept outside the checkout.
part_deny() {
  local tools=$cache/tools
  PATH=$tools/bin:$PATH
  command -v cargo-deny >/dev/null ||
    cargo install -q --locked --no-default-features --root "$tools" --target-dir "$cache/tools-build" cargo-deny || return
  rm -rf "$cache/tools-build"
  cargo deny --locked check licenses bans sources
}

# Each symbol of the defconfig must have come through: Buildroot drops one whose dependency is missing without a word.
part_buildroot() {
  local out=$CARGO_TARGET_DIR/buildroot ours=$root/buildroot-ext defconfig=pollux_x86_64_defconfig lost files
  if [ -z "${BUILDROOT_DIR:-}" ]; then say "buildroot: skipped: BUILDROOT_DIR names no Buildroot tree"; return; fi
  [ -x "$BUILDROOT_DIR/utils/check-package" ] || { say "buildroot: $BUILDROOT_DIR is no Buildroot tree"; return 1; }
  need_packages build-essential python3-flake8 python3-magic
  rm -rf "$out"
  make -s -C "$BUILDROOT_DIR" O="$out" BR2_EXTERNAL="$ours" $defconfig || return
  lost=$(grep -vxFf "$out/.config" "$ours/configs/$defconfig") && { say "buildroot: did not stick:" "$lost"; return 1; }
  mapfile -t files < <(find "$ours" -type f)
  # Debian's python3, which has those packages, whichever else comes first on PATH.
  (cd "$BUILDROOT_DIR" && /usr/bin/python3 utils/check-package --br2-external "${files[@]}")
}

part_image() {
  local iso init first
  iso=$(board/image) && first=$(sha256sum <"$iso") || return
  board/image >/dev/null && [ "$(sha256sum <"$iso")" = "$first" ] || { say "image: two builds differ"; return 1; }
  init=$init_binary
  [ "$(stat -c %s "$init")" -le $init_bytes_max ] || { say "image: /init is larger than $init_bytes_max bytes"; return 1; }
  [ "$(stat -c %s "$iso")" -le $iso_bytes_max ] || { say "image: the ISO is larger than $iso_bytes_max bytes"; return 1; }
}

# count LOG STATUS: prints how many passed and how many failed. Unit tests, fuzz targets and scenarios count one by one, all
# else as one; a part that fails without a failed test in its log counts as one failure, one that is skipped as nothing.
count() {
  awk -v status="$2" '
    /^test result:/ { passed += $4; failed += $6 }
    /^\[ *[0-9]+\/[0-9]+\] .* ok +[0-9.]+ s$/ { passed++ }
    /^\[ *[0-9]+\/[0-9]+\] .* FAIL +[0-9.]+ s$/ { failed++ }
    /^[a-z]+: skipped: / { skipped++ }
    END {
      if (status != 0 && !failed) failed = 1
      if (status == 0 && !passed && !failed && !skipped) passed = 1
      print passed + 0, failed + 0
    }' "$1"
}
