//! What `watch` shows, from what is known: a bar, the pair in sentences, the links, the virtual addresses,
//! the services, and the events at the bottom with what room is left. Numbers stand in columns of fixed
//! width, so that a change of one writes no other anew.

use super::events::{Events, Row};
use super::rates::Rates;
use super::screen::{Screen, Style};
use crate::console::table::wrap;
use crate::console::view::span;
use crate::console::view_pair::{self, millis, percent};
use crate::console::view_sync;
use crate::ipc::control::{ClusterStatus, LinkStatus, ServiceStatus, Status};
use sys::tty::Size;

/// Rows kept for events, their bar included, however many services there are.
const EVENT_ROWS_MIN: usize = 6;

/// Rows that the virtual addresses take at most.
const ADDRESS_ROWS_MAX: usize = 2;

/// All that is known.
#[derive(Debug, Default)]
pub struct Facts {
    pub node: String,
    /// Why it was not answered, where it was not.
    pub status: Option<Result<Box<Status>, String>>,
    pub services: Vec<ServiceStatus>,
    /// Why they could not be read.
    pub services_failed: Option<String>,
    pub rates: Rates,
    pub events: Events,
    /// Rows of services that are above the first one shown.
    pub scrolled: usize,
}

/// The picture, and how far the services can be scrolled.
pub fn draw(facts: &Facts, size: Size) -> (Screen, usize) {
    let mut screen = Screen::blank(size);
    let columns = usize::from(size.columns).saturating_sub(1);
    screen.bar(0, &title(facts), "q leaves ");
    let mut rows = head(facts, columns);
    let all = usize::from(size.rows);
    let room = all.saturating_sub(1 + rows.len() + EVENT_ROWS_MIN);
    let services = services(facts);
    let hidden = services.len().saturating_sub(room);
    rows.extend(scroll(services, facts.scrolled, room));
    let events_at = rows.len() + 1;
    screen.bar(
        events_at,
        " events, by seconds since the start",
        &clock(facts),
    );
    let room = all.saturating_sub(events_at + 1);
    let events = facts.events.rows(room, columns);
    let below = events_at + 1;
    let placed = (1..).zip(&rows).chain((below..).zip(&events));
    for (row, (text, is_loud)) in placed {
        let style = if *is_loud { Style::Bold } else { Style::Plain };
        screen.write(row, text, style);
    }
    // One more: the row that tells of hidden ones hides one itself.
    let scrollable = if hidden > 0 { hidden + 1 } else { 0 };
    (screen, scrollable)
}

fn title(facts: &Facts) -> String {
    let node = &facts.node;
    match facts.status.as_ref() {
        None => format!(" {node}: asking ..."),
        Some(Err(why)) => format!(" {node}: {why}"),
        Some(Ok(status)) => match &status.cluster {
            Ok(cluster) => format!(" {node}: {}", view_pair::this_box(cluster)),
            Err(why) => format!(" {node}: {why}"),
        },
    }
}

/// The time by which events are told.
fn clock(facts: &Facts) -> String {
    match &facts.status {
        Some(Ok(status)) => format!("now {} ", status.uptime_s),
        _ => String::new(),
    }
}

/// Everything above the services.
fn head(facts: &Facts, columns: usize) -> Vec<Row> {
    let Some(Ok(status)) = &facts.status else {
        return Vec::new();
    };
    let Ok(cluster) = &status.cluster else {
        return Vec::new();
    };
    let peer = cluster.peer.as_ref();
    let same = |peer: &crate::ipc::control::PeerStatus| peer.digest == status.digest;
    let sentences = [
        (
            "peer",
            view_pair::peer(peer),
            peer.is_none_or(|peer| !peer.alive),
        ),
        (
            "config",
            view_pair::config(status, peer),
            !peer.is_none_or(same),
        ),
        (
            "dead time",
            view_pair::dead_time(cluster),
            cluster.dead_ms != cluster.dead_configured_ms,
        ),
    ];
    let connections = match &status.sync {
        Ok(sync) => ("flows", view_sync::sentence(sync), !sync.in_sync),
        Err(why) => ("flows", why.clone(), true),
    };
    let mut rows = Vec::new();
    for (name, text, is_loud) in sentences.into_iter().chain([connections]) {
        labelled(name, &text, is_loud, columns, &mut rows);
    }
    rows.extend(links(&cluster.links));
    addresses(cluster, columns, &mut rows);
    rows
}

/// A name, and behind it a text that goes on below itself.
fn labelled(name: &str, text: &str, is_loud: bool, columns: usize, rows: &mut Vec<Row>) {
    let mut label = name;
    for part in wrap(text, columns.saturating_sub(12).max(1)) {
        rows.push((format!("{label:<10}  {part}"), is_loud));
        label = "";
    }
}

fn links(links: &[LinkStatus]) -> Vec<Row> {
    let head = [
        "link",
        "state",
        "silent",
        "jitter",
        "loss",
        "dead time",
        "rejected",
    ];
    let names = links.iter().map(|link| link.name.len());
    let width = names.chain([head.len()]).max().unwrap_or(0).min(30);
    let row = |[name, state, silent, jitter, loss, dead, rejected]: [&str; 7]| {
        format!(
            "{name:<width$.width$} {state:<5}{silent:>10}{jitter:>9}{loss:>7}{dead:>11}{rejected:>10}"
        )
    };
    let mut rows = vec![(row(head), false)];
    for link in links {
        let text = row([
            &link.name,
            if link.up { "up" } else { "DOWN" },
            &link.silent_ms.map_or("-".into(), span),
            &millis(link.jitter_us),
            &percent(link.loss_permille.into()),
            &span(link.dead_ms),
            &view_pair::rejected(link).to_string(),
        ]);
        rows.push((text, !link.up));
    }
    rows
}

fn addresses(cluster: &ClusterStatus, columns: usize, rows: &mut Vec<Row>) {
    let all = &cluster.virtual_addresses;
    let mut troubled = false;
    for (name, held) in [("held here", true), ("not held", false)] {
        let these = all.iter().filter(|address| address.held == held);
        let texts: Vec<_> = these
            .map(|address| {
                let is_loud = address.refusal.is_some() || address.rival.is_some();
                troubled |= is_loud;
                let mark = if is_loud { " (!)" } else { "" };
                format!("{}{mark}", address.prefix.address)
            })
            .collect();
        if texts.is_empty() {
            continue;
        }
        let mut lines = Vec::new();
        labelled(name, &texts.join(" "), troubled, columns, &mut lines);
        if lines.len() > ADDRESS_ROWS_MAX {
            lines.truncate(ADDRESS_ROWS_MAX.saturating_sub(1));
            let count = texts.len();
            let more = format!("... {count} in all; `status` lists them");
            labelled("", &more, troubled, columns, &mut lines);
        }
        rows.extend(lines);
    }
}

/// A row for each service, and one for each of its servers.
fn services(facts: &Facts) -> Vec<Row> {
    if let Some(why) = &facts.services_failed {
        return vec![(format!("services: {why}"), true)];
    }
    if facts.services.is_empty() {
        return Vec::new();
    }
    let mut rows = super::balance::rows(&facts.services, &facts.rates);
    rows.insert(0, (super::balance::head(&facts.services), false));
    rows
}

/// As many rows as there is room for; the last one says so where there are more.
fn scroll(rows: Vec<Row>, scrolled: usize, room: usize) -> Vec<Row> {
    if rows.len() <= room {
        return rows;
    }
    let mut rows = rows.into_iter();
    // The heads stay.
    let mut shown: Vec<Row> = rows.next().into_iter().collect();
    let body: Vec<Row> = rows.collect();
    let fits = room.saturating_sub(2);
    let from = scrolled.min(body.len().saturating_sub(fits));
    let below = body.len().saturating_sub(from + fits);
    shown.extend(body.into_iter().skip(from).take(fits));
    let told = match (from, below) {
        (0, below) => format!("{below} more rows below"),
        (from, 0) => format!("{from} more rows above"),
        (from, below) => format!("{from} more rows above, {below} below"),
    };
    shown.push((format!("  ... {told}: cursor keys"), false));
    shown.truncate(room);
    shown
}

#[cfg(test)]
mod tests;
