//! The demo: boots the pair, cuts the active box's power under load, lets it rejoin, hands over by hand, and
//! writes what a client saw of it to a folder. The outage is measured, never computed from logs.

use crate::capture::Capture;
use crate::config::PairConfig;
use crate::net::{CLIENT, ECHO_PORT, NETWORKS, VIRTUAL_V4};
use crate::pair::{BOOT_TIMEOUT, Order, Pair, ROLE_TIMEOUT, World, is_active, is_standing};
use crate::plot::Plot;
use crate::probe::http::{HttpStream, Request, tally};
use crate::probe::udp::{Answer, Outage, UdpProbe};
use crate::rate::RateDisplay;
use crate::report::Report;
use crate::servers::PORT_NAT;
use crate::timeline::Timeline;
use anyhow::{Context, Result, bail};
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// From request to request.
const REQUEST_INTERVAL: Duration = Duration::from_millis(25);
/// How long each state is watched before and after a change: what is measured lies in it.
const WATCH: Duration = Duration::from_secs(3);
/// The picture shows this much around the power cut.
const WINDOW_MS: (f64, f64) = (-400.0, 1000.0);
const FIRST_ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// What a client does to the pair all the while.
struct Load {
    probe: UdpProbe,
    http: Arc<HttpStream>,
}

/// Runs it all; the pair is still up when it returns.
pub fn run(world: &World, folder: &Path, commit: String) -> Result<Arc<Pair>> {
    let timeline = &world.timeline;
    let order =
        Order::new("demo", folder).with(|config: &mut PairConfig| config.has_all_services = true);
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
    let display = RateDisplay::start(timeline, &load.http)?;
    thread::sleep(WATCH);

    let active = pair.active()?;
    let (survivor, cut) = power_cut(&pair, active, &load, timeline)?;
    report.power_cut_outage_ms = milliseconds(cut.duration());
    write_plot(&cut, &load, folder)?;
    report.rejoin_s = rejoin(&pair, active, survivor)?.as_secs_f64();
    thread::sleep(WATCH);
    // There and back: the second lifts the hold that the first put on the box it was typed on.
    let given = handover(&pair, survivor, "standby", active, &load, timeline)?;
    let taken = handover(&pair, survivor, "takeover", survivor, &load, timeline)?;
    report.handover_outage_ms = milliseconds(taken.duration().max(given.duration()));
    drop(display);

    let Load { probe, http } = load;
    report.probes_sent = probe.sent();
    let requests = http.finish();
    let undisturbed = requests.iter().filter(|request| {
        ![cut, given, taken]
            .iter()
            .any(|change| is_touched(request, change))
    });
    report.set_requests(tally(&requests), &tally(undisturbed));
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

impl Load {
    fn start() -> Result<Self> {
        let address: IpAddr = VIRTUAL_V4.parse()?;
        let probe = UdpProbe::start(CLIENT, SocketAddr::new(address, ECHO_PORT))?;
        let first = probe.wait_answer(Instant::now(), FIRST_ANSWER_TIMEOUT);
        first.context("waiting for the UDP service behind the virtual address")?;
        let http = HttpStream::start(CLIENT, SocketAddr::new(address, PORT_NAT), REQUEST_INTERVAL)?;
        Ok(Load {
            probe,
            http: Arc::new(http),
        })
    }

    /// Waits until the client is served again after `fault`, watches on, and gives the outage.
    fn outage_after(&self, fault: Instant) -> Result<Outage> {
        self.probe.wait_answer(fault, ROLE_TIMEOUT)?;
        thread::sleep(WATCH);
        let before = fault
            .checked_sub(Duration::from_millis(100))
            .unwrap_or(fault);
        Ok(self.probe.outage_since(before))
    }
}

fn power_cut(
    pair: &Pair,
    active: usize,
    load: &Load,
    timeline: &Timeline,
) -> Result<(usize, Outage)> {
    let survivor = 1 - active;
    let console = &pair.machine(survivor)?.console;
    let mark = console.mark();
    let fault = pair.machine(active)?.power_cut();
    let outage = load.outage_after(fault)?;
    console.wait_for(mark, "`active, ready`", ROLE_TIMEOUT, is_active)?;
    let millis = milliseconds(outage.duration());
    timeline.note(
        "client",
        format!("outage of {millis:.1} ms by the power cut"),
    );
    Ok((survivor, outage))
}

fn rejoin(pair: &Pair, dead: usize, survivor: usize) -> Result<Duration> {
    let machine = pair.machine(dead)?;
    let mark = machine.console.mark();
    let began = Instant::now();
    machine.power_on()?;
    let line = machine
        .console
        .wait_for(mark, "`standby, ready`", BOOT_TIMEOUT, is_standing)?;
    pair.expect_active(survivor)?;
    Ok(line.at.duration_since(began))
}

/// Types `command` at box `at` and measures until box `expected` is active.
fn handover(
    pair: &Pair,
    at: usize,
    command: &str,
    expected: usize,
    load: &Load,
    timeline: &Timeline,
) -> Result<Outage> {
    let typed = &pair.machine(at)?.console;
    let heir = &pair.machine(expected)?.console;
    let mark = heir.mark();
    let began = timeline.note(pair.machine(at)?.name(), format!("typed `{command}`"));
    typed.ask(command)?;
    heir.wait_for(mark, "`active, ready`", ROLE_TIMEOUT, is_active)?;
    let outage = load.outage_after(began)?;
    pair.expect_active(expected)?;
    let millis = milliseconds(outage.duration());
    timeline.note(
        "client",
        format!("outage of {millis:.1} ms by the handover (`{command}`)"),
    );
    Ok(outage)
}

/// Without connection sync (a later version), a connection that is open while the boxes change roles is
/// lost; only what neither began nor was under way during a change must have succeeded.
fn is_touched(request: &Request, change: &Outage) -> bool {
    request.began <= change.to && request.ended >= change.from
}

fn write_plot(cut: &Outage, load: &Load, folder: &Path) -> Result<()> {
    // The last answer before the silence and the cut are a probe's interval apart.
    let zero = cut.from;
    let since = |moment: Instant| match moment.checked_duration_since(zero) {
        Some(after) => milliseconds(after),
        None => -milliseconds(zero.duration_since(moment)),
    };
    let start = zero.checked_sub(WATCH).unwrap_or(zero);
    let answers = load.probe.answers_since(start).into_iter();
    let dot =
        |Answer { sent, received }| (since(sent), milliseconds(received.duration_since(sent)));
    let outage_ms = (0.0, since(cut.to));
    let requests = load.http.so_far().into_iter();
    let plot = Plot {
        title: format!(
            "Power cut of the active box: {:.0} ms without an answer",
            outage_ms.1
        ),
        answers_ms: answers.map(dot).collect(),
        outage_ms,
        window_ms: (WINDOW_MS.0, WINDOW_MS.1.max(outage_ms.1 + 200.0)),
        requests_ms: requests
            .map(|request| (since(request.began), request.outcome.is_ok()))
            .collect(),
    };
    fs::write(folder.join("outage.svg"), plot.to_svg()).context("writing outage.svg")
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
             failed ({} of them while no change was under way)",
            report.requests_failed, report.requests_total, report.requests_failed_outside_changes
        ),
    );
    let failures = report.failures();
    if !failures.is_empty() {
        bail!("the demo failed: {}", failures.join("; "));
    }
    Ok(())
}

fn milliseconds(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}
