//! What the console says of the pair: this box and its twin, their config, the dead time in force and why,
//! the links, the virtual addresses. `watch` shows the same sentences as `status`.

use super::table::Table;
use super::view::span;
use crate::ipc::control::{
    AddressStatus, ClusterStatus, LinkStatus, PeerStatus, RefusedReload, Status,
};
use core::fmt::Write;

/// Beats that find no network while a box starts; as many are no trouble.
const UNSENT_ORDINARY: u64 = 10;

/// The pair's part of `status`.
pub fn pair(node: &str, cluster: &ClusterStatus, status: &Status, out: &mut String) {
    let _ = writeln!(out, "{node}: {}", this_box(cluster));
    let mut table = Table::bare(0);
    table.row(["peer:".into(), peer(cluster.peer.as_ref())]);
    table.row(["config:".into(), config(status, cluster.peer.as_ref())]);
    if let Some(RefusedReload { ago_ms, why }) = &status.refused_reload {
        let ago = span(*ago_ms);
        table.row(["reload:".into(), format!("refused {ago} ago: {why}")]);
    }
    table.row(["dead time:".into(), dead_time(cluster)]);
    out.push_str(&table.render());
    link_part(&cluster.links, out);
    address_part(cluster, out);
    transition_part(cluster, out);
}

/// `active, ready; term 2, since 9.1 s`.
pub fn this_box(cluster: &ClusterStatus) -> String {
    let ready = ready(cluster.ready);
    let since = span(cluster.since_ms);
    format!(
        "{}, {ready}; term {}, since {since}",
        cluster.role, cluster.term
    )
}

fn ready(ready: bool) -> &'static str {
    match ready {
        true => "ready",
        false => "not ready",
    }
}

/// The other box in a sentence.
pub fn peer(peer: Option<&PeerStatus>) -> String {
    let Some(peer) = peer else {
        return "not heard since this box started".into();
    };
    let (name, role) = (&peer.name, &peer.role);
    if !peer.alive {
        return format!("{name} is SILENT; it was {role}, term {}", peer.term);
    }
    let in_sync = match (peer.in_sync, peer.fail_back_waits) {
        (true, _) => ", in sync",
        (false, true) => ", fail-back waits for sync",
        (false, false) => "",
    };
    format!(
        "{name} is {role}, {}; term {}{in_sync}",
        ready(peer.ready),
        peer.term
    )
}

/// Which config both boxes run, and what to do where it is not one.
pub fn config(status: &Status, peer: Option<&PeerStatus>) -> String {
    let own = status.generation;
    let Some(peer) = peer else {
        return format!("generation {own}, digest {:016x}", status.digest);
    };
    let (name, other) = (&peer.name, peer.generation);
    if peer.digest == status.digest {
        return match own == other {
            true => format!(
                "generation {own}, digest {:016x}, on both boxes",
                status.digest
            ),
            false => format!("the same on both boxes (generation {own} here, {other} on {name})"),
        };
    }
    let lead = format!("DRIFT: generation {own} here, {other} on {name}");
    match own.cmp(&other) {
        core::cmp::Ordering::Less => {
            format!("{lead}; put generation {other} on this box's medium, then `reload` here")
        }
        core::cmp::Ordering::Greater => {
            format!("{lead}; put generation {own} on {name}'s medium, then `reload` there")
        }
        core::cmp::Ordering::Equal => format!(
            "{lead}, but not the same (digest {:016x} here, {:016x} there); put one config, \
             with a newer generation, on both media, then `reload`",
            status.digest, peer.digest
        ),
    }
}

/// How long a silence makes the peer dead, and why that is not what the config says.
pub fn dead_time(cluster: &ClusterStatus) -> String {
    let (dead, configured) = (cluster.dead_ms, cluster.dead_configured_ms);
    let mut text = match dead == configured {
        true => format!("{dead} ms, as configured"),
        false => format!(
            "{dead} ms instead of {configured} ms: {}",
            why_widened(cluster)
        ),
    };
    if cluster.silence_max_ms > dead {
        let slowest = cluster.silence_max_ms;
        let _ = write!(text, "; {slowest} ms for the sake of a slow serial line");
    }
    text
}

/// The same judgement as proto's, which says it in the log at each change.
fn why_widened(cluster: &ClusterStatus) -> String {
    let peer = cluster.peer.as_ref();
    if let Some(peer) = peer.filter(|peer| peer.alive && peer.dead_ms >= cluster.dead_ms) {
        return format!("{} asks for it", peer.name);
    }
    let up = cluster.links.iter().filter(|link| link.up);
    let least = up.min_by_key(|link| link.jitter_us);
    match least.filter(|link| link.jitter_us > cluster.delay_us) {
        Some(link) => format!(
            "beats come late, by {} at worst on {}",
            millis(link.jitter_us),
            link.name
        ),
        None => format!(
            "this box wakes up late, by {} at worst",
            millis(cluster.delay_us)
        ),
    }
}

/// Milliseconds with one decimal where it matters: `0.4 ms`, `84 ms`.
pub fn millis(micros: u64) -> String {
    match micros < 9_950 {
        true => {
            let tenths = (micros + 50) / 100;
            format!("{}.{} ms", tenths / 10, tenths % 10)
        }
        false => format!("{} ms", (micros + 500) / 1000),
    }
}

/// Thousandths as percent: `1.5%`.
pub fn percent(permille: u128) -> String {
    format!("{}.{}%", permille / 10, permille % 10)
}

/// Frames thrown away, for whatever reason.
pub fn rejected(link: &LinkStatus) -> u64 {
    let counts = link.rejected.iter().map(|(_, count)| *count);
    counts.fold(0, u64::saturating_add)
}

fn link_part(links: &[LinkStatus], out: &mut String) {
    let heads = [
        "link", "state", "silent", "beat", "jitter", "loss", "received", "rejected",
    ];
    let mut table = Table::new(1, &heads);
    for link in links {
        table.row([
            link.name.clone(),
            if link.up { "up" } else { "DOWN" }.into(),
            link.silent_ms.map_or("-".into(), span),
            format!("{} ms", link.beat_ms),
            millis(link.jitter_us),
            percent(link.loss_permille.into()),
            link.received.to_string(),
            rejected(link).to_string(),
        ]);
    }
    out.push_str(&table.render());
    let mut troubles = Table::bare(2);
    links.iter().for_each(|link| trouble(link, &mut troubles));
    out.push_str(&troubles.render());
}

/// What the table of links has no room for, a line for each that is not zero.
fn trouble(link: &LinkStatus, troubles: &mut Table) {
    let mut say = |text| troubles.row([format!("{}:", link.name), text]);
    if link.lost > 0 {
        let share = percent(lost_permille(link.lost, link.received));
        say(format!("{} lost since the start ({share})", link.lost));
    }
    if link.unsent > UNSENT_ORDINARY {
        say(format!(
            "{} not sent: the line was busy, or there was no network",
            link.unsent
        ));
    }
    for (cause, count) in &link.rejected {
        say(format!("{count} rejected: {cause}"));
    }
}

/// Lost frames in thousandths of all that were sent to us.
fn lost_permille(lost: u64, received: u64) -> u128 {
    let sent = u128::from(lost) + u128::from(received);
    let lost = u128::from(lost) * 1000;
    lost.checked_div(sent).unwrap_or(0)
}

fn address_part(cluster: &ClusterStatus, out: &mut String) {
    let mut table = Table::new(1, &["virtual address", "device", "kernel"]);
    for address in &cluster.virtual_addresses {
        let prefix = address.prefix;
        table.row([
            format!("{}/{}", prefix.address, prefix.length),
            address.device.clone().unwrap_or("no such device".into()),
            if address.held { "held" } else { "not held" }.into(),
        ]);
    }
    out.push_str(&table.render());
    for address in &cluster.virtual_addresses {
        address_trouble(address, out);
    }
}

/// What the table of addresses has no room for.
fn address_trouble(address: &AddressStatus, out: &mut String) {
    let own = address.prefix.address;
    if let Some(refusal) = &address.refusal {
        let _ = writeln!(out, "{own} can't be set: {refusal}");
    }
    if let Some(rival) = &address.rival {
        let mac = plan::config::Device::Mac(rival.mac);
        let (claims, ago) = (rival.claims, span(rival.ago_ms));
        let _ = writeln!(
            out,
            "{own} claimed by {mac} too: {claims} times, last {ago} ago"
        );
    }
}

fn transition_part(cluster: &ClusterStatus, out: &mut String) {
    let mut table = Table::new(1, &["ago", "transition", "term", "reason"]);
    for transition in &cluster.transitions {
        table.row([
            span(transition.ago_ms),
            format!("{} -> {}", transition.from, transition.to),
            transition.term.to_string(),
            transition.reason.clone(),
        ]);
    }
    out.push_str(&table.render());
}

#[cfg(test)]
mod tests;
