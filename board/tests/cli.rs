//! `polluxctl` as an operator meets it. Golden files: `BLESS=1 cargo test -p board` writes them anew.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn polluxctl(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_polluxctl"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .unwrap()
}

fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let output = polluxctl(folder, arguments);
    assert!(
        output.status.success(),
        "polluxctl {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn fail(folder: &Path, arguments: &[&str]) -> String {
    let output = polluxctl(folder, arguments);
    assert_eq!(
        output.status.code(),
        Some(1),
        "polluxctl {} should fail",
        arguments.join(" ")
    );
    String::from_utf8(output.stderr).unwrap()
}

fn here(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// An empty folder of this test's own.
fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn errors_are_told_as_in_the_golden_files() {
    for file in files(&here("tests/errors"), "toml") {
        let name = file.file_name().unwrap().to_str().unwrap();
        let told = fail(&here("tests/errors"), &["check", name]);
        let golden = file.with_extension("txt");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&golden, &told).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        assert!(
            told == expected,
            "{name} is told otherwise than in {}:\n{told}",
            golden.display()
        );
    }
}

#[test]
fn examples_are_in_order_and_come_back_from_their_image() {
    let folder = scratch("examples");
    for file in files(&here("examples"), "toml")
        .into_iter()
        .chain(files(&here("tests/round-trip"), "toml"))
    {
        let file = file.to_str().unwrap();
        assert!(succeed(&folder, &["check", file]).contains("in order"));
        succeed(&folder, &["build", file, "-o", "first.plx"]);
        let shown = succeed(&folder, &["show", "first.plx"]);
        std::fs::write(folder.join("shown.toml"), &shown).unwrap();
        succeed(&folder, &["build", "shown.toml", "-o", "second.plx"]);
        let [first, second] =
            ["first.plx", "second.plx"].map(|name| std::fs::read(folder.join(name)).unwrap());
        assert!(
            first == second,
            "{file} changes on its way through its image:\n{shown}"
        );
    }
}

#[test]
fn what_works_less_well_than_expected_is_warned_about() {
    let folder = scratch("concerns");
    let text = std::fs::read_to_string(here("examples/pair.toml")).unwrap();
    let warnings = |text: &str| {
        std::fs::write(folder.join("pair.toml"), text).unwrap();
        let output = polluxctl(&folder, &["check", "pair.toml"]);
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(warnings(&text), "");
    let slow = text
        .replacen("timing = \"default\"", "timing = \"fast\"", 1)
        .replacen("baud = 115200", "baud = 38400", 1);
    let warned = warnings(&slow);
    assert!(
        warned.starts_with("warning: links[") && warned.contains("38400 baud makes a takeover"),
        "{warned}"
    );
    let gateway = text.find("[[virtual-address]]\naddress = \"10.0.0.1/24\"");
    let (before, after) = text.split_at(gateway.unwrap());
    let (_, after) = after.split_once("\n\n").unwrap();
    let warned = warnings(&[before, after].concat());
    assert!(
        warned.starts_with("warning: interfaces[1]: lan has no virtual IPv4 address"),
        "{warned}"
    );
}

#[test]
fn what_would_be_lost_or_never_read_is_not_written() {
    let folder = scratch("lost");
    let example = std::fs::read_to_string(here("examples/pair.toml")).unwrap();
    let config = folder.join("pair.toml");
    std::fs::write(&config, &example).unwrap();
    let refused = |line: &str| fail(&folder, &line.split(' ').collect::<Vec<_>>());

    let itself = refused("build --out ../lost/pair.toml pair.toml");
    assert!(itself.contains("is the config itself"), "{itself}");
    let itself = refused("media --node castor --usb --force pair.toml pair.toml");
    assert!(itself.contains("is the config itself"), "{itself}");
    assert_eq!(std::fs::read_to_string(&config).unwrap(), example);

    let last = u64::MAX.to_string();
    let newest = "media --node castor --floppy castor.img pair.toml --generation";
    let mut newest: Vec<&str> = newest.split(' ').collect();
    newest.push(&last);
    succeed(&folder, &newest);
    let full = refused("media --update castor.img pair.toml");
    assert!(full.contains("highest generation"), "{full}");
}

#[test]
fn a_medium_is_made_updated_and_shown() {
    let folder = scratch("media");
    let example = std::fs::read_to_string(here("examples/pair.toml")).unwrap();
    std::fs::write(folder.join("old.toml"), &example).unwrap();
    std::fs::write(
        folder.join("new.toml"),
        example.replace("weight = 2", "weight = 7"),
    )
    .unwrap();

    succeed(
        &folder,
        &[
            "media",
            "--node",
            "castor",
            "--floppy",
            "castor.img",
            "old.toml",
        ],
    );
    assert!(
        fail(
            &folder,
            &[
                "media",
                "--node",
                "castor",
                "--floppy",
                "castor.img",
                "old.toml"
            ]
        )
        .contains("--update")
    );
    let update = |file| succeed(&folder, &["media", "--update", "castor.img", file]);
    assert!(update("old.toml").contains("generation 2 in SLOT-B.PLX"));
    let whole = "media --update --node castor --floppy castor.img new.toml";
    let words: Vec<&str> = whole.split(' ').collect();
    assert!(succeed(&folder, &words).contains("generation 3 in SLOT-A.PLX"));
    let shown = succeed(&folder, &["show", "castor.img"]);
    assert!(
        shown.contains("generation 3") && shown.contains("weight = 7"),
        "{shown}"
    );

    let refused = fail(
        &folder,
        &[
            "media",
            "--update",
            "--node",
            "pollux",
            "castor.img",
            "old.toml",
        ],
    );
    assert!(refused.contains("is the medium of castor"), "{refused}");
    let refused = fail(
        &folder,
        &[
            "media",
            "--update",
            "--generation",
            "3",
            "castor.img",
            "old.toml",
        ],
    );
    assert!(refused.contains("higher --generation"), "{refused}");
    let refused = fail(
        &folder,
        &[
            "media",
            "--node",
            "helena",
            "--usb",
            "helena.img",
            "old.toml",
        ],
    );
    assert!(
        refused.contains("--node castor or --node pollux"),
        "{refused}"
    );
}

#[test]
fn the_password_is_not_on_the_medium() {
    let folder = scratch("password");
    let example = here("examples/pair.toml");
    succeed(
        &folder,
        &[
            "media",
            "--node",
            "castor",
            "--floppy",
            "castor.img",
            example.to_str().unwrap(),
        ],
    );
    let medium = std::fs::read(folder.join("castor.img")).unwrap();
    let holds = |text: &str| {
        medium
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    assert!(holds("password-hash = \"pbkdf2-sha256$") && !holds("change me"));
}

#[test]
fn a_password_that_no_console_takes_is_refused() {
    let folder = scratch("umlaut");
    let example = std::fs::read_to_string(here("examples/pair.toml")).unwrap();
    std::fs::write(
        folder.join("pair.toml"),
        example.replace("change me", "ge\u{e4}ndert"),
    )
    .unwrap();
    let refused = fail(&folder, &["check", "pair.toml"]);
    assert!(
        refused.contains("can't be typed on a serial console"),
        "{refused}"
    );
}

#[test]
fn what_holds_no_config_is_said_to() {
    let folder = scratch("nothing");
    std::fs::write(folder.join("noise"), [0xa5; 70_000]).unwrap();
    assert!(fail(&folder, &["show", "noise"]).contains("no image, no medium and no CD"));
    assert!(fail(&folder, &["show", "."]).contains("SLOT-A.PLX: the slot is empty"));
    assert!(fail(&folder, &["check", "absent.toml"]).contains("cannot read absent.toml"));
}

#[test]
fn keys_are_accepted_and_differ() {
    let folder = scratch("keys");
    let [first, second] = [(); 2].map(|()| succeed(&folder, &["keygen"]));
    assert_ne!(first, second);
    let example = std::fs::read_to_string(here("examples/direct.toml")).unwrap();
    let old = example
        .lines()
        .find(|line| line.starts_with("key = "))
        .unwrap();
    std::fs::write(
        folder.join("keyed.toml"),
        example.replace(old, first.trim()),
    )
    .unwrap();
    succeed(&folder, &["check", "keyed.toml"]);
}

#[test]
fn what_there_is_one_of_is_told_in_the_singular() {
    let folder = scratch("singular");
    let example = std::fs::read_to_string(here("examples/direct.toml")).unwrap();
    let example = example.replace(", \"198.51.100.22\", \"198.51.100.23\"", "");
    let firewall = "[[zone]]\nname = \"all\"\ninterfaces = \"net\"\n\n\
                    [[rule]]\nfrom = \"all\"\nto = \"box\"\naction = \"accept\"\n";
    std::fs::write(folder.join("one.toml"), format!("{example}\n{firewall}")).unwrap();
    let told = succeed(&folder, &["check", "one.toml"]);
    assert!(told.contains("1 with 1 server\n"), "{told}");
    assert!(
        told.contains("1 zone, 1 rule, 0 policies, 0 translations"),
        "{told}"
    );
}

#[test]
fn the_firewall_is_shown_as_one_box_will_load_it() {
    let folder = scratch("rules");
    let [pair, guard] = ["examples/pair.toml", "examples/firewall.toml"].map(here);
    let [pair, guard] = [&pair, &guard].map(|path| path.to_str().unwrap());
    assert!(succeed(&folder, &["check", pair]).contains("nothing is filtered"));
    assert!(succeed(&folder, &["check", guard]).contains("3 zones, 6 rules, 2 policies"));
    let rules = |node, file| succeed(&folder, &["rules", "--node", node, file]);
    let unfiltered = rules("castor", pair);
    let chains: Vec<_> = unfiltered
        .lines()
        .filter(|line| line.contains("chain"))
        .collect();
    assert_eq!(chains, ["\tchain orphans {"], "{unfiltered}");
    let [castor, pollux] = ["castor", "pollux"].map(|node| rules(node, guard));
    let ssh = "ip saddr @admins_4 tcp dport 22 jump rule.3 comment \"rule 3: ssh from admins\"";
    assert!(castor.contains(ssh) && pollux.contains(ssh));
    // Each hears the other.
    assert!(castor.contains("ip saddr 192.0.2.2 udp dport 694 counter accept"));
    assert!(pollux.contains("ip saddr 192.0.2.1 udp dport 694 counter accept"));
    let refused = fail(&folder, &["rules", "--node", "helena", guard]);
    assert!(refused.contains("castor or --node pollux"), "{refused}");
}
