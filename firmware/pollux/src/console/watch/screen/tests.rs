//! What is painted, on a vt100 that knows no more than a real one.

use super::super::vt100::Vt100;
use super::*;

const SIZE: Size = Size {
    columns: 80,
    rows: 24,
};

/// Numbers that look random and are the same in each run (Knuth's MMIX generator).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = self.0.wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % bound
    }

    fn one_of<T: Copy + Default>(&mut self, all: &[T]) -> T {
        all.get(self.below(all.len())).copied().unwrap_or_default()
    }

    fn scribble(&mut self, screen: &mut Screen) {
        for _ in 0..self.below(6) {
            let row = self.below(24);
            let style = self.one_of(&[Style::Plain, Style::Bold, Style::Reverse]);
            let words = [
                "",
                "up   ",
                "12.5",
                "DOWN",
                "      ",
                "a long sentence of words ",
            ];
            let text: String = (0..self.below(5)).map(|_| self.one_of(&words)).collect();
            screen.write(row, &text, style);
        }
    }
}

#[test]
fn the_differences_give_the_screen_that_is_wanted() {
    let mut numbers = Numbers(7);
    let mut terminal = Vt100::new(SIZE);
    let mut painter = Painter::new(SIZE);
    let mut wanted = Screen::blank(SIZE);
    for round in 0..2_000 {
        if numbers.below(20) == 0 {
            wanted = Screen::blank(SIZE);
        }
        numbers.scribble(&mut wanted);
        // Changes go on although the line is behind; in the end it catches up.
        let bytes_max = 100 + numbers.below(400);
        let bytes = painter.paint(&wanted, bytes_max);
        assert!(bytes.len() <= bytes_max, "{} bytes", bytes.len());
        terminal.feed(&bytes);
        if round % 10 == 9 {
            terminal.feed(&painter.paint(&wanted, usize::MAX));
            assert!(painter.is_done(&wanted));
            assert!(terminal.shows(&wanted), "{}", terminal.text());
        }
    }
}

#[test]
fn a_slow_line_gets_there_in_pieces() {
    let mut wanted = Screen::blank(SIZE);
    for row in 0..24 {
        wanted.write(row, &"x".repeat(100), Style::Bold);
    }
    let mut terminal = Vt100::new(SIZE);
    let mut painter = Painter::new(SIZE);
    let mut paints = 0;
    while !painter.is_done(&wanted) {
        let bytes = painter.paint(&wanted, 180);
        assert!(!bytes.is_empty() && bytes.len() <= 180);
        terminal.feed(&bytes);
        paints += 1;
    }
    assert!(terminal.shows(&wanted), "{}", terminal.text());
    assert!(paints < 60, "{paints}");
}

#[test]
fn a_changed_number_costs_its_digits_and_a_jump() {
    let mut painter = Painter::new(SIZE);
    let mut wanted = Screen::blank(SIZE);
    wanted.write(4, "ttyS1 up 31 ms", Style::Plain);
    painter.paint(&wanted, usize::MAX);
    wanted.write(4, "ttyS1 up 35 ms", Style::Plain);
    assert_eq!(painter.paint(&wanted, usize::MAX), "\x1b[5;11H5\x1b[24;1H");
    assert_eq!(painter.paint(&wanted, usize::MAX), "");
}

#[test]
fn a_line_that_gets_shorter_is_erased_to_its_end() {
    let mut painter = Painter::new(SIZE);
    let mut wanted = Screen::blank(SIZE);
    wanted.write(0, "the peer is silent on all links", Style::Plain);
    painter.paint(&wanted, usize::MAX);
    let mut wanted = Screen::blank(SIZE);
    wanted.write(0, "the peer", Style::Plain);
    assert_eq!(
        painter.paint(&wanted, usize::MAX),
        "\x1b[1;10H\x1b[K\x1b[24;1H"
    );
}

#[test]
fn what_can_t_be_printed_never_reaches_the_terminal() {
    let mut wanted = Screen::blank(SIZE);
    wanted.write(0, "a\x1b[2Jb\u{e4}\n", Style::Plain);
    let bytes = Painter::new(SIZE).paint(&wanted, usize::MAX);
    assert!(bytes.contains("a?[2Jb??"), "{bytes:?}");
}

#[test]
fn a_larger_terminal_keeps_what_it_shows() {
    let large = Size {
        columns: 132,
        rows: 40,
    };
    let mut painter = Painter::new(SIZE);
    let mut wanted = Screen::blank(SIZE);
    wanted.write(3, "held", Style::Plain);
    painter.paint(&wanted, usize::MAX);
    painter.resize(large);
    let mut wanted = Screen::blank(large);
    wanted.write(3, "held", Style::Plain);
    assert!(painter.is_done(&wanted));
    painter.resize(SIZE);
    let begins_anew = painter.paint(&Screen::blank(SIZE), usize::MAX);
    assert!(begins_anew.starts_with("\x1b[0m\x1b[2J"));
}
