//! The picture of a takeover: each answered probe a dot at the moment it was sent, its height the time its
//! answer took; the outage is the gap. Below, how fast the open transfers are. Plain SVG, readable on light and dark pages.

use std::fmt::Write;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 300.0;
/// Height of the part below, with the transfers.
const BAND: f64 = 100.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 44.0;
/// Slowest answer that has a place in the picture; slower ones lie on its upper edge.
const ROUND_TRIP_MS_MAX: f64 = 20.0;

/// What the picture shows. Milliseconds are counted from the fault.
#[derive(Debug, Clone)]
pub struct Plot {
    /// Heading.
    pub title: String,
    /// When each answered probe was sent, and how long its answer took.
    pub answers_ms: Vec<(f64, f64)>,
    /// The gap: from, to.
    pub outage_ms: (f64, f64),
    /// Shown from here to there.
    pub window_ms: (f64, f64),
    /// HTTP requests: when each began, and whether it succeeded.
    pub requests_ms: Vec<(f64, bool)>,
    /// What all transfers together received from this moment on, in kB/s.
    pub rates: Vec<(f64, f64)>,
}

impl Plot {
    /// The SVG text.
    pub fn to_svg(&self) -> String {
        let height = HEIGHT + BAND;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
             <text x=\"{LEFT}\" y=\"22\" font-size=\"15\" fill=\"#222222\">{}</text>\n",
            self.title
        );
        self.gap(&mut svg);
        self.axes(&mut svg);
        self.dots(&mut svg);
        self.transfers(&mut svg);
        svg.push_str("</svg>\n");
        svg
    }

    fn x(&self, ms: f64) -> f64 {
        let (from, to) = self.window_ms;
        LEFT + (ms - from) / (to - from) * (WIDTH - LEFT - RIGHT)
    }

    fn y(round_trip_ms: f64) -> f64 {
        let share = round_trip_ms.clamp(0.0, ROUND_TRIP_MS_MAX) / ROUND_TRIP_MS_MAX;
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM - 20.0)
    }

    fn is_shown(&self, ms: f64) -> bool {
        (self.window_ms.0..=self.window_ms.1).contains(&ms)
    }

    fn gap(&self, svg: &mut String) {
        let (from, to) = self.outage_ms;
        let (left, right) = (self.x(from), self.x(to));
        let height = HEIGHT - TOP - BOTTOM;
        let middle = f64::midpoint(left, right);
        let _ = writeln!(
            svg,
            "<rect x=\"{left:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{height}\" fill=\"#f6d5d0\"/>\n\
             <text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#a02818\">{:.0} ms</text>",
            right - left,
            TOP + 60.0,
            to - from
        );
        let cut = self.x(0.0);
        let _ = writeln!(
            svg,
            "<line x1=\"{cut:.1}\" y1=\"{TOP}\" x2=\"{cut:.1}\" y2=\"{:.1}\" stroke=\"#a02818\" stroke-width=\"1.5\"/>\n\
             <text x=\"{cut:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#a02818\">power cut</text>",
            HEIGHT - BOTTOM,
            TOP - 6.0
        );
    }

    fn axes(&self, svg: &mut String) {
        let base = HEIGHT - BOTTOM;
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {TOP}V{base}H{:.1}\" fill=\"none\" stroke=\"#444444\"/>",
            WIDTH - RIGHT
        );
        let (from, to) = self.window_ms;
        let mut tick = (from / 100.0).ceil() * 100.0;
        while tick <= to {
            let x = self.x(tick);
            let _ = writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#444444\">{tick:.0}</text>",
                base + 16.0
            );
            tick += 100.0;
        }
        for round_trip in [0.0, 10.0, 20.0] {
            let y = Self::y(round_trip);
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#444444\">{round_trip:.0} ms</text>",
                LEFT - 6.0,
                y + 4.0
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#444444\">milliseconds since the \
             power cut (dots: answered UDP probes by round trip; marks on top: HTTP requests)</text>",
            f64::midpoint(LEFT, WIDTH - RIGHT),
            HEIGHT - 8.0
        );
    }

    fn dots(&self, svg: &mut String) {
        svg.push_str("<g fill=\"#1f5f9f\">\n");
        for (sent, round_trip) in self
            .answers_ms
            .iter()
            .filter(|(sent, _)| self.is_shown(*sent))
        {
            let (x, y) = (self.x(*sent), Self::y(*round_trip));
            let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"1.4\"/>");
        }
        svg.push_str("</g>\n");
        for (began, is_good) in self
            .requests_ms
            .iter()
            .filter(|(began, _)| self.is_shown(*began))
        {
            let colour = if *is_good { "#3a8f4a" } else { "#d02818" };
            let x = self.x(*began);
            let _ = writeln!(
                svg,
                "<path d=\"M{x:.1} {TOP}v8\" stroke=\"{colour}\" stroke-width=\"2\"/>"
            );
        }
    }
}

impl Plot {
    /// The rate as a stepped line.
    fn transfers(&self, svg: &mut String) {
        let (top, base) = (HEIGHT + 14.0, HEIGHT + BAND - 26.0);
        let shown: Vec<_> = self
            .rates
            .iter()
            .filter(|(from, _)| self.is_shown(*from))
            .collect();
        let highest = shown.iter().map(|(_, rate)| *rate).fold(1.0, f64::max);
        let mut path = format!("M{LEFT} {base:.1}");
        for (from, rate) in shown {
            let y = base - rate / highest * (base - top);
            let _ = write!(path, "H{:.1}V{y:.1}", self.x(*from));
        }
        let right = WIDTH - RIGHT;
        let _ = writeln!(
            svg,
            "<path d=\"{path}H{right:.1}V{base:.1}Z\" fill=\"#cfe3d2\" stroke=\"#3a8f4a\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#444444\">{highest:.0} kB/s</text>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#444444\">bytes a second of transfers through \
             NAT and balancer, open all the while, every byte checked</text>",
            LEFT - 6.0,
            top + 8.0,
            f64::midpoint(LEFT, right),
            base + 18.0
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_in_the_window_is_drawn() {
        let plot = Plot {
            title: "t".into(),
            answers_ms: vec![(-600.0, 1.0), (-10.0, 1.0), (300.0, 99.0)],
            outage_ms: (-10.0, 300.0),
            window_ms: (-500.0, 1000.0),
            requests_ms: vec![(0.0, false), (2000.0, true)],
            rates: vec![(-900.0, 77.0), (-100.0, 40.0), (50.0, 0.0), (2000.0, 99.0)],
        };
        let svg = plot.to_svg();
        assert_eq!(svg.matches("<circle").count(), 2);
        assert_eq!(svg.matches("#d02818").count(), 1);
        assert!(svg.contains(">310 ms</text>"));
        assert!(svg.contains(">40 kB/s</text>"));
    }
}
