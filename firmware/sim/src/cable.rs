//! A link between the two boxes of a pair and what it does to frames. Datagrams are lost, doubled, damaged and
//! late; on a serial line bytes take their time, in order, and some are damaged.

use crate::random::Random;
use crate::schedule::Condition;
use core::convert::Infallible;
use embedded_io::{ErrorType, Write};
use proto::node::Medium;
use proto::serial::{Decoder, Sender};
use proto::wire::FrameBytes;

/// Bytes that a port takes at once, as its FIFO and what feeds it.
pub(crate) const CHUNK_BYTES: usize = 48;
/// Frames of each direction that are kept to be played again.
const CAPTURE_FRAMES: usize = 48;

/// Bytes on a serial line.
pub(crate) type Chunk = ([u8; CHUNK_BYTES], usize);

/// A link with both its directions; the index is the sender's place in its pair.
pub(crate) struct Cable {
    pub(crate) medium: Medium,
    normal: Condition,
    /// Instead of the normal one, until then.
    weather: Option<(Condition, u64)>,
    /// What was sent in bad weather is on its way until then.
    late_until_us: u64,
    cut_until_us: [u64; 2],
    ways: [Way; 2],
    capture_every: u64,
}

/// One direction.
struct Way {
    random: Random,
    sender: Sender,
    decoder: Decoder,
    /// A chunk is on the line.
    busy: bool,
    /// When the last of what was sent arrives. Serial bytes do not overtake each other.
    arrived_us: u64,
    sent: u64,
    lost: u64,
    captured: Vec<Capture>,
    next_capture: usize,
}

/// A frame that somebody has recorded where it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Capture {
    pub(crate) frame: FrameBytes,
    /// It has reached the other box, or will. If not, it is news there when it is played.
    pub(crate) arrives: bool,
}

/// What becomes of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Fate {
    /// When it arrives, if it does.
    pub(crate) arrives_us: Option<u64>,
    pub(crate) again_us: Option<u64>,
    /// A bit of it is flipped: `(byte, mask)` of the first copy.
    pub(crate) flipped: Option<(usize, u8)>,
}

impl Cable {
    pub(crate) fn new(medium: Medium, normal: Condition, seed: u64, capture_every: u64) -> Self {
        Self {
            medium,
            normal,
            weather: None,
            late_until_us: 0,
            cut_until_us: [0; 2],
            ways: [Way::new(seed, 1), Way::new(seed, 2)],
            capture_every,
        }
    }

    pub(crate) fn cut(&mut self, from: Option<usize>, until_us: u64) {
        for (index, end) in self.cut_until_us.iter_mut().enumerate() {
            if from.is_none_or(|from| from == index) {
                *end = (*end).max(until_us);
            }
        }
    }

    pub(crate) fn set_weather(&mut self, condition: Condition, until_us: u64) {
        self.weather = Some((condition, until_us));
        let delay_us = condition.delay_us + condition.jitter_us;
        self.late_until_us = self.late_until_us.max(until_us + delay_us);
    }

    /// Frames of worse weather are on their way still.
    pub(crate) fn is_late(&self, now_us: u64) -> bool {
        now_us < self.late_until_us && self.weather.is_none_or(|(_, end_us)| now_us >= end_us)
    }

    /// As good as a link can be.
    pub(crate) fn heal(&mut self) {
        self.cut_until_us = [0; 2];
        self.weather = None;
        self.normal = Condition {
            delay_us: self.normal.delay_us.min(1000),
            ..Condition::default()
        };
    }

    pub(crate) fn condition(&self, now_us: u64) -> Condition {
        match self.weather {
            Some((condition, until_us)) if now_us < until_us => condition,
            _ => self.normal,
        }
    }

    pub(crate) fn is_cut(&self, from: usize, now_us: u64) -> bool {
        now_us < self.cut_until_us[from]
    }

    /// For how long frames that were sent are still on their way.
    pub(crate) fn in_flight_us(&self, now_us: u64) -> u64 {
        let last_us = self.ways[0].arrived_us.max(self.ways[1].arrived_us);
        last_us.saturating_sub(now_us)
    }

    /// Frames lost or damaged by chance so far, in both directions.
    pub(crate) fn lost(&self) -> u64 {
        self.ways[0].lost + self.ways[1].lost
    }

    /// Microseconds that so many bytes take, 8N1.
    pub(crate) fn airtime_us(&self, bytes: usize) -> u64 {
        match self.medium {
            Medium::Datagram => 0,
            Medium::Serial { baud } => bytes as u64 * 10 * 1_000_000 / u64::from(baud),
        }
    }

    /// A datagram is sent.
    pub(crate) fn send(&mut self, now_us: u64, from: usize, frame: &FrameBytes) -> Fate {
        let condition = self.condition(now_us);
        let fate = if self.is_cut(from, now_us) {
            Fate::default()
        } else {
            self.ways[from].fate(now_us, condition, frame)
        };
        let arrives = fate.arrives_us.is_some() && fate.flipped.is_none();
        self.ways[from].capture(frame, self.capture_every, arrives);
        fate
    }

    /// A frame is to go over the serial line. Returns what the port takes now, and when it will be through.
    pub(crate) fn queue(
        &mut self,
        now_us: u64,
        from: usize,
        frame: &FrameBytes,
    ) -> Option<(Chunk, u64)> {
        let is_clean = self.condition(now_us).corrupt_permille == 0;
        let arrives = is_clean && !self.is_cut(from, now_us);
        let way = &mut self.ways[from];
        way.capture(frame, self.capture_every, arrives);
        way.sender.queue(frame);
        self.write(now_us, from)
    }

    /// The last chunk has left the port.
    pub(crate) fn go_on(&mut self, now_us: u64, from: usize) -> Option<(Chunk, u64)> {
        self.ways[from].busy = false;
        self.write(now_us, from)
    }

    fn write(&mut self, now_us: u64, from: usize) -> Option<(Chunk, u64)> {
        let way = &mut self.ways[from];
        if way.busy {
            return None;
        }
        let mut port = Port::default();
        let Ok(_) = way.sender.write_to(&mut port);
        if port.length == 0 {
            return None;
        }
        way.busy = true;
        let through_us = now_us + self.airtime_us(port.length);
        Some(((port.bytes, port.length), through_us))
    }

    /// When a chunk that is through is read at the other end.
    pub(crate) fn arrival_us(&mut self, now_us: u64, from: usize) -> u64 {
        let condition = self.condition(now_us);
        let way = &mut self.ways[from];
        way.arrived_us = way.arrived_us.max(now_us + way.delay_us(condition));
        way.arrived_us
    }

    /// Bytes are read; the frames that end in them are returned.
    pub(crate) fn read(
        &mut self,
        now_us: u64,
        from: usize,
        chunk: &Chunk,
        frames: &mut Vec<FrameBytes>,
    ) {
        if self.is_cut(from, now_us) {
            return;
        }
        let noise = self.condition(now_us).corrupt_permille;
        let way = &mut self.ways[from];
        let (mut bytes, length) = *chunk;
        for byte in &mut bytes[..length] {
            if way.random.permille(noise) {
                *byte ^= 1 << way.random.below(8);
                way.lost += 1;
            }
        }
        way.decoder.push(&bytes[..length], |frame| {
            frames.extend(FrameBytes::from_slice(frame));
        });
    }

    /// The box at that end has lost what its ports held.
    pub(crate) fn reset(&mut self, end: usize) {
        self.ways[end].sender = Sender::default();
        self.ways[end].lose_last();
        self.ways[1 - end].decoder = Decoder::default();
    }

    /// An old frame of that sender, if there is one.
    pub(crate) fn captured(&self, from: usize, turn: u64) -> Option<Capture> {
        let frames = &self.ways[from].captured;
        let turn = usize::try_from(turn).unwrap_or_default();
        frames.get(turn.checked_rem(frames.len())?).cloned()
    }
}

impl Way {
    fn new(seed: u64, user: u64) -> Self {
        Self {
            random: Random::branch(seed, user),
            sender: Sender::default(),
            decoder: Decoder::default(),
            busy: false,
            arrived_us: 0,
            sent: 0,
            lost: 0,
            captured: Vec::new(),
            next_capture: 0,
        }
    }

    /// What chance makes of a datagram.
    fn fate(&mut self, now_us: u64, condition: Condition, frame: &FrameBytes) -> Fate {
        if self.random.permille(condition.loss_permille) {
            self.lost += 1;
            return Fate::default();
        }
        let flipped = self.random.permille(condition.corrupt_permille).then(|| {
            self.lost += 1;
            (self.random.index(frame.len()), 1 << self.random.below(8))
        });
        let twice = self.random.permille(condition.duplicate_permille);
        let arrives_us = now_us + self.delay_us(condition);
        let again_us = twice.then(|| now_us + self.delay_us(condition));
        self.arrived_us = self.arrived_us.max(arrives_us).max(again_us.unwrap_or(0));
        Fate {
            arrives_us: Some(arrives_us),
            again_us,
            flipped,
        }
    }

    fn delay_us(&mut self, condition: Condition) -> u64 {
        condition.delay_us + self.random.below(condition.jitter_us + 1)
    }

    /// Keeps some of the frames: the newest, sparsely enough to reach back to earlier starts.
    fn capture(&mut self, frame: &FrameBytes, every: u64, arrives: bool) {
        self.sent += 1;
        if !self.sent.is_multiple_of(every) {
            return;
        }
        let frame = frame.clone();
        let capture = Capture { frame, arrives };
        if self.captured.len() < CAPTURE_FRAMES {
            self.captured.push(capture);
        } else {
            self.captured[self.next_capture] = capture;
        }
        self.next_capture = (self.next_capture + 1) % CAPTURE_FRAMES;
    }

    /// The last frame may have been in the port when its sender lost it.
    fn lose_last(&mut self) {
        let last = (self.next_capture + CAPTURE_FRAMES - 1) % CAPTURE_FRAMES;
        if let Some(capture) = self.captured.get_mut(last) {
            capture.arrives = false;
        }
    }
}

/// A serial port that takes one chunk.
struct Port {
    bytes: [u8; CHUNK_BYTES],
    length: usize,
}

impl Default for Port {
    fn default() -> Self {
        Self {
            bytes: [0; CHUNK_BYTES],
            length: 0,
        }
    }
}

impl ErrorType for Port {
    type Error = Infallible;
}

impl Write for Port {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let count = bytes.len().min(CHUNK_BYTES - self.length);
        self.bytes[self.length..self.length + count].copy_from_slice(&bytes[..count]);
        self.length += count;
        Ok(count)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn frame(bytes: &[u8]) -> FrameBytes {
        FrameBytes::from_slice(bytes).unwrap()
    }

    fn datagrams(condition: Condition) -> Cable {
        Cable::new(Medium::Datagram, condition, 1, 1)
    }

    #[test]
    fn a_calm_link_carries_all_in_its_delay() {
        let mut cable = datagrams(Condition {
            delay_us: 70,
            ..Condition::default()
        });
        for now_us in 0..1000 {
            let fate = cable.send(now_us, 0, &frame(&[1]));
            assert_eq!(fate.arrives_us, Some(now_us + 70));
            assert_eq!((fate.again_us, fate.flipped), (None, None));
        }
        assert_eq!(cable.lost(), 0);
    }

    #[test]
    fn a_bad_link_loses_doubles_and_damages_as_often_as_it_says() {
        let mut cable = datagrams(Condition {
            loss_permille: 100,
            duplicate_permille: 200,
            corrupt_permille: 50,
            delay_us: 0,
            jitter_us: 500,
        });
        let fates: Vec<_> = (0..10_000)
            .map(|_| cable.send(0, 1, &frame(&[1, 2])))
            .collect();
        let count = |is: fn(&Fate) -> bool| fates.iter().filter(|fate| is(fate)).count();
        assert!((800..1200).contains(&count(|it| it.arrives_us.is_none())));
        assert!((1500..2100).contains(&count(|it| it.again_us.is_some())));
        assert!((350..550).contains(&count(|it| it.flipped.is_some())));
        assert!(count(|it| it.arrives_us > Some(250)) > 3000);
    }

    #[test]
    fn a_cut_takes_one_direction_for_its_time() {
        let mut cable = datagrams(Condition::default());
        cable.cut(Some(0), 100);
        assert_eq!(cable.send(99, 0, &frame(&[1])), Fate::default());
        assert!(cable.send(99, 1, &frame(&[1])).arrives_us.is_some());
        assert!(cable.send(100, 0, &frame(&[1])).arrives_us.is_some());
    }

    #[test]
    fn weather_passes() {
        let mut cable = datagrams(Condition::default());
        let bad = Condition {
            loss_permille: 1000,
            ..Condition::default()
        };
        cable.set_weather(bad, 10);
        assert_eq!(cable.send(9, 0, &frame(&[1])).arrives_us, None);
        assert!(cable.send(10, 0, &frame(&[1])).arrives_us.is_some());
    }

    #[test]
    fn what_was_sent_in_bad_weather_is_on_its_way_after_it() {
        let mut cable = datagrams(Condition::default());
        let late = Condition {
            delay_us: 500,
            ..Condition::default()
        };
        cable.set_weather(late, 10);
        cable.send(9, 0, &frame(&[1]));
        cable.send(10, 0, &frame(&[1]));
        assert_eq!(cable.in_flight_us(10), 499);
        assert_eq!(cable.in_flight_us(600), 0);
    }

    /// Sends over a serial line; what arrives, and when it is through.
    fn over_serial(cable: &mut Cable, sent: &FrameBytes) -> (Vec<FrameBytes>, u64) {
        let (mut arrived, mut now_us) = (Vec::new(), 0);
        let mut next = cable.queue(now_us, 0, sent);
        while let Some((chunk, through_us)) = next {
            now_us = through_us;
            cable.read(now_us, 0, &chunk, &mut arrived);
            next = cable.go_on(now_us, 0);
        }
        (arrived, now_us)
    }

    #[test]
    fn a_serial_line_takes_its_airtime() {
        let line = Medium::Serial { baud: 9600 };
        let mut cable = Cable::new(line, Condition::default(), 1, 1);
        let sent = frame(&[7; 72]);
        let (arrived, through_us) = over_serial(&mut cable, &sent);
        assert_eq!(arrived, [sent]);
        // 77 bytes of 10 bits.
        assert!((80_200..80_220).contains(&through_us), "{through_us}");
    }

    #[test]
    fn noise_on_a_serial_line_spoils_frames_and_no_more() {
        let line = Medium::Serial { baud: 115_200 };
        let noise = Condition {
            corrupt_permille: 5,
            ..Condition::default()
        };
        let mut cable = Cable::new(line, noise, 1, 1);
        let sent = frame(&[7; 72]);
        let through = (0..1000).filter(|_| over_serial(&mut cable, &sent).0 == [sent.clone()]);
        // 0.995^77 of them are spared.
        assert!((600..760).contains(&through.count()));
    }

    #[test]
    fn captures_are_old_frames() {
        let mut cable = datagrams(Condition::default());
        assert_eq!(cable.captured(0, 3), None);
        for byte in 0..100 {
            cable.send(0, 0, &frame(&[byte]));
        }
        let old = cable.captured(0, 17);
        assert!(old.is_some_and(|old| old.arrives && old.frame[0] >= 52));
    }

    #[test]
    fn a_capture_tells_whether_the_frame_got_through() {
        let mut cable = datagrams(Condition::default());
        cable.cut(Some(0), 10);
        cable.send(9, 0, &frame(&[1]));
        cable.send(10, 0, &frame(&[2]));
        let arrives = [0, 1].map(|turn| cable.captured(0, turn).map(|it| it.arrives));
        assert_eq!(arrives, [Some(false), Some(true)]);
    }
}
