//! Which ttys the operator has: those the kernel prints on (`console=` of its command line), without
//! the ones that carry heartbeats. Pure.

use plan::config::{Config, Link};

/// Most consoles; a box has a screen and a few serial ports.
const TTYS_MAX: usize = 4;

/// From the text of /sys/class/tty/console/active (`tty0 ttyS0\n`); `tty0` is whichever virtual terminal
/// is on the screen, the console runs on the first of them.
pub fn parse_active(active: &str) -> Vec<String> {
    let mut ttys: Vec<String> = Vec::new();
    for name in active.split_ascii_whitespace() {
        let name = if name == "tty0" { "tty1" } else { name };
        if !ttys.iter().any(|tty| tty == name) && ttys.len() < TTYS_MAX {
            ttys.push(name.into());
        }
    }
    ttys
}

/// Whether a heartbeat link runs over this tty.
pub fn is_link(config: &Config, name: &str) -> bool {
    let serial = |link: &Link| matches!(link, Link::Serial { tty, .. } if tty == name);
    config.links.iter().any(serial)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::config;

    #[test]
    fn the_screen_is_tty1_and_nothing_comes_twice() {
        assert_eq!(parse_active("tty0 ttyS0\n"), ["tty1", "ttyS0"]);
        assert_eq!(parse_active("tty0 tty1"), ["tty1"]);
        assert!(parse_active("").is_empty());
    }

    #[test]
    fn heartbeat_lines_are_no_consoles() {
        assert!(is_link(&config(), "ttyS1"));
        assert!(!is_link(&config(), "ttyS0"));
    }
}
