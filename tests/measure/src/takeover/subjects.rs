//! Who is measured: how each is configured for the same job, one address on one network, started, and told to hand over.
//! Everybody gets what its manual calls for and its authors' defaults otherwise.

use super::node::PID_FILE;
use super::world::{NODES, VIRTUAL_ADDRESS, address};
use super::{Options, world};
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What Pollux is held to.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) power_cut_ms: f64,
    pub(crate) handover_ms: f64,
    pub(crate) changes: f64,
}

/// A program with one of its settings.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    /// Its timing.
    pub(crate) profile: &'static str,
    /// What a node runs, as `Node::start` wants it.
    pub(crate) script: Box<dyn Fn(usize) -> String>,
    /// Its orderly way to hand over, as a line for the active node's shell.
    pub(crate) handover: String,
    /// A handover ends it, so it is started again afterwards.
    pub(crate) ends_by_handover: bool,
    /// From when an address is answered for until both sides have found each other.
    pub(crate) whole_after: Duration,
    /// For its configs and logs.
    pub(crate) folder: PathBuf,
    pub(crate) limits: Option<Limits>,
}

impl Subject {
    /// Name and profile.
    pub(crate) fn title(&self) -> String {
        format!("{} {}", self.name, self.profile)
    }
}

/// All of them, ours first.
pub(crate) fn all(options: &Options) -> Result<Vec<Subject>> {
    Ok(vec![
        pollux(options, "default", 250.0)?,
        pollux(options, "fast", 45.0)?,
        keepalived(options, "1 s", "1", 6)?,
        keepalived(options, "0.1 s", "0.1", 3)?,
        keepalived(options, "0.01 s", "0.01", 3)?,
        heartbeat(options, "1/5 s", "1", "5")?,
        heartbeat(options, "100/500 ms", "100ms", "500ms")?,
        ucarp(options)?,
    ])
}

/// A fresh folder for a subject.
fn folder(options: &Options, name: &str, profile: &str) -> Result<PathBuf> {
    let name = format!("{name}-{profile}").replace([' ', '/'], "-");
    let folder = options.work.join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("emptying {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    Ok(folder)
}

fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(())
}

fn pollux(options: &Options, profile: &'static str, power_cut_ms: f64) -> Result<Subject> {
    let folder = folder(options, "pollux", profile)?;
    let (text, image) = (folder.join("pair.toml"), folder.join("pair.plx"));
    let pair = include_str!("pair.toml");
    write(
        &text,
        &pair.replace("\"default\"", &format!("\"{profile}\"")),
        0o600,
    )?;
    let mut build = Command::new(&options.polluxctl);
    world::run(build.arg("build").arg("--out").arg(&image).arg(&text))?;
    let program = options.pollux.display().to_string();
    let run = format!("{program} run --config {}", image.display());
    Ok(Subject {
        name: "pollux",
        profile,
        script: Box::new(move |node| format!("{run} --node {}", NODES.get(node).unwrap_or(&""))),
        handover: format!("{program} console -c standby"),
        ends_by_handover: false,
        whole_after: Duration::from_secs(3),
        folder,
        limits: Some(Limits {
            power_cut_ms,
            handover_ms: 10.0,
            changes: 0.0,
        }),
    })
}

/// VRRP version 3, for adverts below a second; it hands over by saying so when it is ended.
fn keepalived(
    options: &Options,
    profile: &'static str,
    advert_s: &str,
    whole_after_s: u64,
) -> Result<Subject> {
    let folder = folder(options, "keepalived", profile)?;
    for (name, priority) in NODES.into_iter().zip([150, 100]) {
        let text = format!(
            "global_defs {{\n    router_id {name}\n    vrrp_version 3\n}}\n\
             vrrp_instance pair {{\n    state BACKUP\n    interface eth0\n    virtual_router_id 51\n    \
             priority {priority}\n    advert_int {advert_s}\n    virtual_ipaddress {{\n        \
             {VIRTUAL_ADDRESS}/24\n    }}\n}}\n"
        );
        write(&folder.join(name).with_extension("conf"), &text, 0o600)?;
    }
    let configs = folder.clone();
    let script = move |node: usize| {
        let config = configs
            .join(NODES.get(node).unwrap_or(&""))
            .with_extension("conf");
        let config = config.display();
        format!("keepalived -n -l -D -P -f {config} -p /run/keepalived.pid -r /run/vrrp.pid")
    };
    Ok(Subject {
        name: "keepalived",
        profile,
        script: Box::new(script),
        handover: format!("kill -TERM $(cat {PID_FILE})"),
        ends_by_handover: true,
        whole_after: Duration::from_secs(whole_after_s),
        folder,
        limits: None,
    })
}

/// Version 1 style, with haresources: an address needs no more. It expects its folders where its package puts them.
fn heartbeat(
    options: &Options,
    profile: &'static str,
    keepalive: &str,
    dead: &str,
) -> Result<Subject> {
    let folder = folder(options, "heartbeat", profile)?;
    let (castor, pollux) = (NODES[0], NODES[1]);
    for (node, name) in NODES.into_iter().enumerate() {
        let peer = address(1 - node);
        let text = format!(
            "crm no\nuse_logd no\nlogfile {}/{name}.ha.log\nkeepalive {keepalive}\ndeadtime {dead}\nwarntime {dead}\n\
             initdead 10\nudpport 694\nucast eth0 {peer}\nauto_failback off\nnode {castor} {pollux}\n",
            folder.display()
        );
        write(&folder.join(name).with_extension("ha.cf"), &text, 0o644)?;
    }
    let resources = format!("{castor} IPaddr2::{VIRTUAL_ADDRESS}/24/eth0\n");
    write(&folder.join("haresources"), &resources, 0o644)?;
    write(&folder.join("authkeys"), "auth 1\n1 sha1 bench\n", 0o600)?;
    let configs = folder.display().to_string();
    let script = move |node: usize| {
        let name = NODES.get(node).unwrap_or(&"");
        format!(
            "mkdir -m 1777 /run/resource-agents\n\
             mkdir -p /run/heartbeat/ccm /run/heartbeat/crm /run/heartbeat/dopd\n\
             chown -R hacluster:haclient /run/heartbeat\n\
             cp -a /var/lib/heartbeat /run/lib\nmount --bind /run/lib /var/lib/heartbeat\n\
             cp -a /etc/ha.d /run/ha.d\n\
             cp -p {configs}/haresources {configs}/authkeys /run/ha.d\n\
             cp -p {configs}/{name}.ha.cf /run/ha.d/ha.cf\nmount --bind /run/ha.d /etc/ha.d\n\
             /usr/libexec/heartbeat/heartbeat -f\n"
        )
    };
    Ok(Subject {
        name: "heartbeat",
        profile,
        script: Box::new(script),
        handover: "/usr/share/heartbeat/hb_standby all".into(),
        ends_by_handover: false,
        whole_after: Duration::from_secs(12),
        folder,
        limits: None,
    })
}

/// Adverts every second, its shortest; it lets go of the address when it is ended. (SIGUSR2 only demotes it: three seconds
/// later the preferred side takes the address back.)
fn ucarp(options: &Options) -> Result<Subject> {
    let profile = "1 s";
    let folder = folder(options, "ucarp", profile)?;
    for (name, change) in [("up", "add"), ("down", "delete")] {
        let text = format!("#!/bin/sh\nexec ip address {change} {VIRTUAL_ADDRESS}/24 dev \"$1\"\n");
        write(&folder.join(name), &text, 0o755)?;
    }
    let scripts = folder.display().to_string();
    let script = move |node: usize| {
        let (own, skew) = (address(node), node * 10);
        format!(
            "ucarp -i eth0 -s {own} -v 1 -p bench -a {VIRTUAL_ADDRESS} -b 1 -k {skew} -P -z \
             -u {scripts}/up -d {scripts}/down"
        )
    };
    Ok(Subject {
        name: "ucarp",
        profile,
        script: Box::new(script),
        handover: format!("kill -TERM $(cat {PID_FILE})"),
        ends_by_handover: true,
        whole_after: Duration::from_secs(5),
        folder,
        limits: None,
    })
}
