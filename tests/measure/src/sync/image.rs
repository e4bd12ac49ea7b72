//! The initramfs of a machine: busybox, this program as what answers there, and the subject with its libraries and configs,
//! each at the path that it has here, so that a script is the same in a namespace and on a machine.

use super::subjects::Subject;
use crate::takeover::world::run;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

const BUSYBOX: &str = "/bin/busybox";
/// What scripts call by its name.
const APPLETS: [&str; 9] = [
    "sh", "mount", "hostname", "ln", "ip", "stty", "echo", "kill", "cat",
];

/// The table has room for a million flows, whoever fills it; the kernel's own choice depends on memory.
const INIT: &str = "#!/bin/sh
export PATH=/bin:/usr/sbin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
echo 1048576 >/proc/sys/net/netfilter/nf_conntrack_buckets
echo 1048576 >/proc/sys/net/netfilter/nf_conntrack_max
ip link set lo up
ip link set eth0 up
ip address add $own/24 dev eth0
stty -F /dev/ttyS0 raw -echo
exec MEASURE guest </dev/ttyS0 >/dev/ttyS0
";

/// Builds it in the subject's folder; gives the archive.
pub(super) fn build(subject: &Subject) -> Result<PathBuf> {
    let root = subject.folder.join("root");
    if root.exists() {
        fs::remove_dir_all(&root).with_context(|| format!("emptying {}", root.display()))?;
    }
    for folder in ["bin", "dev", "proc", "run"] {
        fs::create_dir_all(root.join(folder))?;
    }
    let own = std::env::current_exe().context("finding this program")?;
    let mut files = BTreeSet::from([PathBuf::from(BUSYBOX), own.clone()]);
    files.extend(subject.files.iter().cloned());
    for file in files.clone() {
        files.extend(libraries(&file)?);
    }
    let mut copy = Command::new("cp");
    run(copy.args(["-L", "--parents"]).args(&files).arg(&root))?;
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    let init = root.join("init");
    fs::write(&init, INIT.replace("MEASURE", &own.display().to_string()))?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755))?;
    pack(&root)
}

fn pack(root: &Path) -> Result<PathBuf> {
    let archive = root.with_extension("cpio");
    let script = format!("find . | cpio -o -H newc --quiet >'{}'", archive.display());
    let mut shell = Command::new("sh");
    run(shell.args(["-ec", &script]).current_dir(root))?;
    Ok(archive)
}

/// Shared libraries of a program and its loader, as ldd tells; none of what is static or no program.
fn libraries(file: &Path) -> Result<BTreeSet<PathBuf>> {
    let output = Command::new("ldd").arg(file).output();
    let output = output.context("starting ldd")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let words = text.split_whitespace();
    Ok(words
        .filter(|word| word.starts_with('/') && !word.ends_with(':'))
        .map(PathBuf::from)
        .collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_program_comes_with_its_libraries_and_a_text_with_none() {
        let own = std::env::current_exe().unwrap();
        let found = libraries(&own).unwrap();
        assert!(found.iter().any(|path| path.ends_with("libc.so.6")));
        assert!(found.iter().all(|path| path.exists()));
        assert_eq!(
            libraries(Path::new("/etc/passwd")).unwrap(),
            BTreeSet::new()
        );
    }
}
