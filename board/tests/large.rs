//! A config as large as is promised, on its way from the operator's file to the kernel: 10,000 rules, 100,000 addresses.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../../tests/skip.rs"]
mod skip;

use fatfs::{FileSystem, FsOptions};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{UsageWho, getrusage};
use plan::image::{Image, decode, slot_bytes};
use plan::ruleset::Ruleset;
use std::fmt::Write as _;
use std::io::Read as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use sys::netlink::{Netlink, Protocol};

const RULES: u32 = 10_000;
/// Half of them hosts, half of them networks.
const ADDRESSES: u32 = 100_000;

/// As much time of a processor as any command may take here, on a slow machine and without optimisation. What is
/// quadratic takes minutes.
const SENSIBLE: Duration = Duration::from_secs(30);

fn text() -> String {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/pair.toml");
    let mut text = std::fs::read_to_string(example).unwrap();
    text.push_str(
        "\n[[zone]]\nname = \"outside\"\ninterfaces = [\"wan\"]\n\
         \n[[zone]]\nname = \"inside\"\ninterfaces = [\"lan\"]\n",
    );
    let address = Ipv4Addr::from_bits;
    let hosts = |number: u32| address(0x0b00_0000 + 3 * number).to_string();
    let networks = |number: u32| format!("{}/28", address(0x6400_0000 + 32 * number));
    for (name, of) in [
        ("hosts", &hosts as &dyn Fn(u32) -> String),
        ("networks", &networks),
    ] {
        write!(text, "\n[[set]]\nname = \"{name}\"\naddresses = [\n").unwrap();
        for number in 0..ADDRESSES / 2 {
            writeln!(text, "    \"{}\",", of(number)).unwrap();
        }
        text.push_str("]\n");
    }
    for number in 0..RULES {
        let source = ["", "source = \"hosts\"\n", "", "source = \"networks\"\n"];
        let source = source.into_iter().cycle().nth(number as usize % 4).unwrap();
        write!(
            text,
            "\n[[rule]]\nname = \"customer {number}\"\nfrom = \"outside\"\nto = \"inside\"\n{source}\
             destination = \"{}\"\nprotocol = \"tcp\"\nports = 443\naction = \"accept\"\n",
            address(0xc000_0200 + number)
        )
        .unwrap();
    }
    text
}

/// Time on the processor so far, the kernel's included.
fn used(who: UsageWho) -> Duration {
    let usage = getrusage(who).unwrap();
    let times = [usage.user_time(), usage.system_time()];
    let micros = times.map(|time| time.tv_sec() * 1_000_000 + time.tv_usec());
    Duration::from_micros(u64::try_from(micros.iter().sum::<i64>()).unwrap())
}

fn polluxctl(folder: &Path, line: &str) -> String {
    let before = used(UsageWho::RUSAGE_CHILDREN);
    let output = Command::new(env!("CARGO_BIN_EXE_polluxctl"))
        .current_dir(folder)
        .args(line.split(' '))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "polluxctl {line}: {told}");
    let took = used(UsageWho::RUSAGE_CHILDREN) - before;
    println!("polluxctl {line}: {} ms", took.as_millis());
    assert!(took < SENSIBLE, "polluxctl {line} took {took:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The first slot of a medium, read by the file system's own rules.
fn slot(medium: &Path) -> Vec<u8> {
    let disk = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(medium);
    let volume = FileSystem::new(disk.unwrap(), FsOptions::new()).unwrap();
    let mut slot = Vec::new();
    let mut file = volume.root_dir().open_file("SLOT-A.PLX").unwrap();
    file.read_to_end(&mut slot).unwrap();
    slot
}

fn scratch() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("large");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn nft(arguments: &str) -> String {
    let output = Command::new("nft").args(arguments.split(' ')).output();
    let output = output.unwrap();
    assert!(output.status.success(), "nft {arguments}");
    String::from_utf8(output.stdout).unwrap()
}

/// Loads a ruleset twice, the second time in the place of the first, and counts what nft(8) lists.
fn load_and_count(ruleset: &Ruleset) {
    let mut netlink = Netlink::open(Protocol::Netfilter).unwrap();
    for _ in 0..2 {
        let begun = Instant::now();
        let loaded = netlink.load(ruleset, |name| name == plan::firewall::TABLE);
        loaded.unwrap();
        println!("in force: {} ms", begun.elapsed().as_millis());
    }
    for set in ["hosts_4", "networks_4"] {
        let listed = nft(&format!("list set inet pollux {set}"));
        let (_, elements) = listed.split_once("elements = {").unwrap();
        let count = u32::try_from(elements.split(',').count()).unwrap();
        assert_eq!(count, ADDRESSES / 2, "{set}");
    }
    for chain in ["outside.inside", "outside.inside.again"] {
        let listed = nft(&format!("list chain inet pollux {chain}"));
        let rules = listed.matches("comment \"rule ").count();
        assert_eq!(u32::try_from(rules).unwrap(), RULES, "{chain}");
    }
}

#[test]
fn a_large_config_goes_by_medium_into_the_kernel() {
    let folder = scratch();
    std::fs::write(folder.join("pair.toml"), text()).unwrap();
    let told = polluxctl(&folder, "check pair.toml");
    assert!(told.contains("10000 rules"), "{told}");
    polluxctl(&folder, "media --node castor --usb castor.img pair.toml");
    let told = polluxctl(&folder, "media --update castor.img pair.toml");
    assert!(told.contains("generation 2 in SLOT-B.PLX"), "{told}");
    let rules = polluxctl(&folder, "rules --node castor pair.toml");
    assert_eq!(rules.matches("comment \"rule 1: customer 0\"").count(), 2);
    let shown = polluxctl(&folder, "show castor.img");
    assert!(shown.starts_with("# SLOT-B.PLX: generation 2"));

    let slot = slot(&folder.join("castor.img"));
    let Image { config, .. } = decode(&slot).unwrap();
    let image = plan::image::encode(&config, 1).unwrap();
    assert_eq!(slot.len(), slot_bytes(image.len()));
    assert_eq!(config.firewall.rules.len(), RULES as usize);
    let addresses = config.firewall.sets.iter().map(|set| set.addresses.len());
    assert_eq!(addresses.sum::<usize>(), ADDRESSES as usize);

    let before = used(UsageWho::RUSAGE_THREAD);
    let ruleset = plan::firewall::ruleset(&config, 0, &[]);
    let took = used(UsageWho::RUSAGE_THREAD) - before;
    println!("ruleset: {} ms", took.as_millis());
    assert!(took < SENSIBLE);
    let own_network = move || match unshare(CloneFlags::CLONE_NEWNET) {
        Ok(()) if Command::new("nft").arg("--version").output().is_ok() => load_and_count(&ruleset),
        Ok(()) => skip::skip("no nft(8)"),
        Err(errno) => skip::skip(&format!("a network namespace wants root ({errno})")),
    };
    std::thread::spawn(own_network).join().unwrap();
}
