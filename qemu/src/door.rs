//! An initramfs with a back door: the unmodified binary of the box as PID 1, and beside it a root shell on the
//! third serial port with busybox, `ip` and Debian's ipvsadm, nft and conntrack. With it a judge that shares no code
//! with us can say what the kernel holds, and a worker can be killed. It exists in tests only; the ISO has none.

use crate::console::Console;
use crate::tools::{finish, fresh_folder};
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const SHELL_TIMEOUT: Duration = Duration::from_secs(20);
const BUSYBOX: &str = "/bin/busybox";
/// What the shell offers of busybox.
const APPLETS: [&str; 12] = [
    "sh", "cat", "echo", "fold", "grep", "kill", "ls", "ps", "sed", "sort", "stty", "usleep",
];
/// Programs of Debian that judge, and one that wedges; called by their paths, for this shell has an `ip` of its
/// own.
const JUDGES: [&str; 5] = [
    "/usr/sbin/ipvsadm",
    "/usr/sbin/nft",
    "/usr/sbin/conntrack",
    "/usr/bin/ip",
    "/usr/bin/chrt",
];

/// The door has its own devtmpfs, so that PID 1 finds everything as on the ISO: nothing
/// mounted. A background job wants /dev/null before that. The shell is no interactive one: such a one takes a child that
/// dies while it reads for the end of its input, and ends.
const SCRIPT: &str = "#!/bin/busybox sh
/bin/busybox mkdir -p /door /dev
/bin/busybox mknod /dev/null c 1 3
/bin/busybox mount -t devtmpfs door /door
(
  exec </door/ttyS2 >/door/ttyS2 2>&1
  export PATH=/bin PS1= HOME=/
  stty -echo
  echo open
  exec /bin/busybox setsid /bin/busybox sh -c 'while read -r line; do eval \"$line\"; done'
) &
exec /pollux
";

/// Builds it from our `init`, in `folder`; gives the archive.
pub fn build(init: &Path, folder: &Path) -> Result<PathBuf> {
    let root = fresh_folder(&folder.join("door"))?;
    fs::create_dir_all(root.join("bin"))?;
    install(init, &root.join("pollux"))?;
    install(Path::new(BUSYBOX), &root.join("bin/busybox"))?;
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    for judge in JUDGES {
        let name = Path::new(judge)
            .file_name()
            .context("a program has a name")?;
        install(Path::new(judge), &root.join("bin").join(name))?;
        for library in libraries(judge)? {
            let inside = root.join(library.strip_prefix("/").unwrap_or(&library));
            install(&library, &inside)?;
        }
    }
    fs::write(root.join("init"), SCRIPT)?;
    fs::set_permissions(root.join("init"), fs::Permissions::from_mode(0o755))?;
    let archive = folder.join("door.cpio");
    let script = format!(
        "cd '{}' && find . | cpio -o -H newc --quiet >'{}'",
        root.display(),
        archive.display()
    );
    finish(Command::new("sh").args(["-ec", &script]))?;
    Ok(archive)
}

fn install(from: &Path, to: &Path) -> Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::copy(from, to).with_context(|| format!("copying {} into an initramfs", from.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// Shared libraries of a program and its loader, as ldd tells.
fn libraries(program: &str) -> Result<BTreeSet<PathBuf>> {
    let output = Command::new("ldd")
        .arg(program)
        .output()
        .context("starting ldd")?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect())
}

/// Runs a command in the shell behind the door of a box and gives what it printed.
pub fn shell(door: &Console, command: &str) -> Result<Vec<String>> {
    let from = door.mark();
    door.send(&format!("{command}; echo \"end of answer $?\"\n"))?;
    let end = door.wait(from, "end of answer", SHELL_TIMEOUT)?;
    let lines = door.lines_since(from).into_iter().map(|line| line.text);
    let lines: Vec<_> = lines
        .take_while(|line| !line.contains("end of answer"))
        .collect();
    if !end.text.ends_with(" 0") {
        bail!("`{command}` behind the door failed:\n{}", lines.join("\n"));
    }
    Ok(lines)
}

/// Waits until the shell is there.
pub fn wait_open(door: &Console, from: crate::console::Mark) -> Result<()> {
    door.wait(from, "open", crate::pair::BOOT_TIMEOUT).map(drop)
}
