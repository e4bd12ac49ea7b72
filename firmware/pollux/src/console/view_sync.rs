//! What the console says of connections and how the boxes keep each other's.

use super::table::Table;
use super::view::span;
use crate::ipc::control::{BulkStatus, SyncStatus};
use core::fmt::Write;

/// The part of `status` about connections.
pub fn sync_part(sync: &Result<SyncStatus, String>, out: &mut String) {
    let sync = match sync {
        Ok(sync) => sync,
        Err(why) => {
            let _ = writeln!(out, "connections: {why}");
            return;
        }
    };
    let _ = writeln!(out, "connections: {}", sentence(sync));
    let mut table = Table::new(1, &["kind", "here", "there"]);
    for kind in &sync.kinds {
        table.row([
            kind.name.clone(),
            kind.here.to_string(),
            kind.there.to_string(),
        ]);
    }
    out.push_str(&table.render());
    let mut notes = Table::bare(2);
    for note in notes_of(sync) {
        notes.row([note]);
    }
    out.push_str(&notes.render());
}

/// `in sync; over sync 10.0.0.2; lag 2 ms, 1200 sent/s, 0 received/s`.
pub fn sentence(sync: &SyncStatus) -> String {
    let Some(way) = &sync.way else {
        let why = sync.failure.as_deref();
        let why = why.unwrap_or("no network carries heartbeats by UDP");
        return format!("NOT mirrored, so a takeover breaks them: {why}");
    };
    let state = match (sync.in_sync, sync.joined) {
        (true, _) => "in sync",
        (false, true) => "NOT YET in sync",
        (false, false) => "NOT mirrored: the peer's sync worker is not heard",
    };
    let (lag, sent, received) = (sync.lag_ms, sync.sent_per_s, sync.received_per_s);
    format!("{state}; by {way}; lag {lag} ms, {sent} sent/s, {received} received/s")
}

/// Of both tables, all kinds together: whether they were found equal.
fn digests((equal, all): (u32, u32)) -> String {
    if equal == all {
        return "digests: equal".into();
    }
    format!("digests: equal in {equal} of {all} slices")
}

/// What the table has no room for.
fn notes_of(sync: &SyncStatus) -> Vec<String> {
    let digests = sync.equal_slices.map(digests);
    let table = sync.table.iter().map(|table| format!("table: {table}"));
    // Without a way the sentence says it.
    let failure = sync.failure.iter().filter(|_| sync.way.is_some());
    let failure = failure
        .map(|why| format!("those of services are NOT mirrored, so a takeover breaks them: {why}"));
    let mut notes: Vec<_> = digests.into_iter().chain(table).chain(failure).collect();
    notes.extend(sync.last_bulk.iter().map(bulk));
    if sync.resent > 0 {
        notes.push(format!(
            "{} states sent again: datagrams were lost",
            sync.resent
        ));
    }
    let dropped = sync.dropped.iter();
    notes.extend(dropped.map(|(cause, count)| format!("{count} dropped: {cause}")));
    notes
}

fn bulk(bulk: &BulkStatus) -> String {
    let (ago, took, flows) = (span(bulk.ago_ms), span(bulk.took_ms), bulk.flows);
    match bulk.goes_on {
        true => format!("bulk under way: {flows} in {took} so far"),
        false => format!("last bulk {ago} ago: {flows} in {took}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::samples::sync;

    #[test]
    fn connections_are_told_by_kind() {
        let mut text = String::new();
        sync_part(&Ok(sync()), &mut text);
        assert_eq!(
            text,
            "connections: in sync; by sync 10.0.0.2; lag 2 ms, 1200 sent/s, 0 received/s\n \
             kind         here  there\n \
             connections  4711  4711\n \
             balanced     120   119\n  \
             digests: equal\n  \
             table: 4730 of 262144 flows (1 %)\n  \
             last bulk 5 min 3 s ago: 4700 in 120 ms\n  \
             7 states sent again: datagrams were lost\n  \
             3 dropped: authentication failed\n"
        );
    }

    #[test]
    fn what_is_not_mirrored_is_said() {
        let mut status = sync();
        (status.in_sync, status.joined) = (false, false);
        assert!(sentence(&status).starts_with("NOT mirrored"));
        status.failure = Some("no privilege".into());
        let mut text = String::new();
        sync_part(&Ok(status.clone()), &mut text);
        let note =
            "\n  those of services are NOT mirrored, so a takeover breaks them: no privilege\n";
        assert!(text.contains(note), "{text}");
        status.way = None;
        assert!(sentence(&status).ends_with("a takeover breaks them: no privilege"));
        status.equal_slices = Some((61, 64));
        let mut text = String::new();
        sync_part(&Ok(status), &mut text);
        assert!(
            text.contains("\n  digests: equal in 61 of 64 slices\n"),
            "{text}"
        );
        let mut text = String::new();
        sync_part(&Err("the sync worker does not answer".into()), &mut text);
        assert_eq!(text, "connections: the sync worker does not answer\n");
    }
}
