//! The demo: boots the pair, cuts the active box's power under load, lets it rejoin, hands over by hand, and
//! writes what a client saw of it to a folder. The outage is measured, never computed from logs.

mod change;
mod load;

use crate::capture::Capture;
use crate::config::PairConfig;
use crate::flows::RATE_SPAN;
use crate::net::NETWORKS;
use crate::pair::{Order, Pair, World};
use crate::plot::Plot;
use crate::probe::http::{Request, tally};
use crate::probe::udp::Answer;
use crate::rate::RateDisplay;
use crate::report::Report;
use crate::timeline::Timeline;
use anyhow::{Context, Result, bail};
use change::{Change, handover, milliseconds, power_cut, rejoin};
use load::{Load, WATCH};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

/// The picture shows this much around the power cut.
const WINDOW_MS: (f64, f64) = (-400.0, 1000.0);

/// Runs it all; the pair is still up when it returns.
pub fn run(world: &World, folder: &Path, commit: String) -> Result<Arc<Pair>> {
    let timeline = &world.timeline;
    let order = Order::new("demo", folder).with(|config: &mut PairConfig| {
        config.has_all_services = true;
        config.has_flow_services = true;
        config.has_firewall = true;
    });
    let pair = Arc::new(Pair::assemble(world, &order)?);
    let captures: Vec<_> = NETWORKS
        .iter()
        .map(|network| Capture::start(network, "", &folder.join(format!("{network}.pcap"))))
        .collect::<Result<_>>()?;
    let mut report = Report {
        commit,
        ..Report::default()
    };
    let began = timeline.note("testbed", "both boxes are powered on");
    pair.boot()?;
    report.boot_s = began.elapsed().as_secs_f64();
    let load = Load::start()?;
    let changes = play(&pair, &load, timeline, folder, &mut report)?;

    report.probes_sent = load.probe.sent();
    let outcome = load.flows.finish()?;
    timeline.note("client", outcome.story());
    report.set_flows(&outcome);
    add_requests(&load.http.finish(), &changes, timeline, &mut report);
    captures
        .into_iter()
        .try_for_each(|capture| capture.finish().map(drop))?;
    let is_box = |source: &str| pair.boxes.iter().any(|machine| machine.name() == source);
    let events = timeline.events().into_iter();
    report.transitions = events
        .filter(|event| is_box(&event.source) && event.text.contains("->"))
        .collect();
    report.total_s = began.elapsed().as_secs_f64();
    conclude(&report, timeline, folder)?;
    Ok(pair)
}

/// Power cut, rejoin, and a handover there and back.
fn play(
    pair: &Pair,
    load: &Load,
    timeline: &Timeline,
    folder: &Path,
    report: &mut Report,
) -> Result<[Change; 3]> {
    let _display = RateDisplay::start(timeline, &load.http, &load.flows)?;
    thread::sleep(WATCH);
    let active = pair.active()?;
    let survivor = 1 - active;
    load.flows.forget_stalls();
    let cut = power_cut(pair, active, load, timeline)?;
    report.flows_stalled_ms_max = load.flows.so_far().stalled_ms_max;
    report.power_cut_outage_ms = cut.outage_ms();
    write_plot(&cut, load, folder)?;
    report.rejoin_s = rejoin(pair, active, survivor)?.as_secs_f64();
    thread::sleep(WATCH);
    // The second lifts the hold that the first put on the box it was typed on.
    let given = handover(pair, (survivor, "standby"), active, load, timeline)?;
    let taken = handover(pair, (survivor, "takeover"), survivor, load, timeline)?;
    report.handover_outage_ms = taken.outage_ms().max(given.outage_ms());
    Ok([cut, given, taken])
}

/// Adds the requests up, and says of each that failed how it did.
fn add_requests(
    requests: &[Request],
    changes: &[Change],
    timeline: &Timeline,
    report: &mut Report,
) {
    let is_touched = |request: &&Request| changes.iter().any(|change| change.touches(request));
    for request in requests {
        if let Err(why) = &request.outcome {
            let at_s = crate::timeline::seconds(timeline.at_ms(request.began));
            let millis = milliseconds(request.ended.duration_since(request.began));
            let when = if is_touched(&request) {
                "amid"
            } else {
                "OUTSIDE"
            };
            timeline.note(
                "client",
                format!(
                    "request begun at {at_s:.3} s failed after {millis:.0} ms, {when} a change of role: {why}"
                ),
            );
        }
    }
    let undisturbed = requests.iter().filter(|request| !is_touched(request));
    report.set_requests(tally(requests), &tally(undisturbed));
}

fn write_plot(cut: &Change, load: &Load, folder: &Path) -> Result<()> {
    let zero = cut.begun;
    let since = |moment: Instant| match moment.checked_duration_since(zero) {
        Some(after) => milliseconds(after),
        None => -milliseconds(zero.duration_since(moment)),
    };
    let start = zero.checked_sub(WATCH).unwrap_or(zero);
    let answers = load.probe.answers_since(start).into_iter();
    let dot =
        |Answer { sent, received }| (since(sent), milliseconds(received.duration_since(sent)));
    let outage_ms = (since(cut.outage.from), since(cut.outage.to));
    let requests = load.http.so_far().into_iter();
    let arrivals = load.flows.arrivals().into_iter();
    let plot = Plot {
        title: format!(
            "Power cut of the active box: {:.0} ms without an answer",
            cut.outage_ms()
        ),
        answers_ms: answers.map(dot).collect(),
        outage_ms,
        window_ms: (WINDOW_MS.0, WINDOW_MS.1.max(outage_ms.1 + 200.0)),
        requests_ms: requests
            .map(|request| (since(request.began), request.outcome.is_ok()))
            .collect(),
        rates: arrivals
            .map(|(at, bytes)| (since(at), rate_kb_s(bytes)))
            .collect(),
    };
    fs::write(folder.join("outage.svg"), plot.to_svg()).context("writing outage.svg")
}

/// Of what came in one `RATE_SPAN`.
fn rate_kb_s(bytes: u64) -> f64 {
    let bytes = f64::from(u32::try_from(bytes).unwrap_or(u32::MAX));
    bytes / milliseconds(RATE_SPAN)
}

fn conclude(report: &Report, timeline: &Timeline, folder: &Path) -> Result<()> {
    report.write(folder)?;
    let Report {
        power_cut_outage_ms,
        handover_outage_ms,
        ..
    } = report;
    timeline.note(
        "testbed",
        format!(
            "power cut {power_cut_outage_ms:.1} ms, handover {handover_outage_ms:.1} ms, {} of {} requests \
             failed ({} of them while no change was under way), {} of {} transfers broke",
            report.requests_failed,
            report.requests_total,
            report.requests_failed_outside_changes,
            report.flows_reset + report.flows_corrupt,
            report.flows_total
        ),
    );
    let failures = report.failures();
    if !failures.is_empty() {
        bail!("the demo failed: {}", failures.join("; "));
    }
    Ok(())
}
