//! How many connections this kernel balances, for the console: what /proc/net/ip_vs says of each server, a part at a
//! time. The worker has other things to do in between.

use super::LINES_PER_TURN;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};

const FILE: &str = "/proc/net/ip_vs";
/// What the line of a server begins with; those of services do not.
const SERVER: &[u8] = b"  -> ";

/// A count that goes on.
pub struct Count<Source = File> {
    lines: BufReader<Source>,
    line: Vec<u8>,
    sum: u32,
}

impl Count {
    /// Begins. `None` in a kernel without IPVS.
    pub fn begin() -> Option<Self> {
        File::open(FILE).ok().map(Count::of)
    }
}

impl<Source: Read> Count<Source> {
    fn of(source: Source) -> Self {
        Count {
            lines: BufReader::new(source),
            line: Vec::new(),
            sum: 0,
        }
    }

    /// Reads on. At the end: the connections to all servers that the kernel has now, half-open and ended ones that age
    /// included, templates not.
    pub fn advance(&mut self) -> Option<u32> {
        for _ in 0..LINES_PER_TURN {
            self.line.clear();
            let length = self.lines.read_until(b'\n', &mut self.line);
            if length.unwrap_or_default() == 0 {
                return Some(self.sum);
            }
            self.sum = self.sum.saturating_add(of_server(&self.line));
        }
        None
    }
}

/// The last two columns, active and inactive ones; none in a line that is no server's.
fn of_server(line: &[u8]) -> u32 {
    let columns = line.strip_prefix(SERVER).unwrap_or_default();
    let columns = core::str::from_utf8(columns).unwrap_or_default();
    let last = columns.split_whitespace().rev().take(2);
    let counts = last.map(|column| column.parse().unwrap_or(0));
    counts.fold(0, u32::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Linux 6.12, some lines left out.
    const SHOWN: &str = "\
IP Virtual Server version 1.2.1 (size=32768)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
UDP  C000020A:0007 rr  persistent 75000 FFFFFFFF
  -> 0A00000D:0007      Masq    1      0          1         
  -> 0A00000C:0007      Masq    1      0          0         
TCP  C000020A:0051 wlc  persistent 75000 FFFFFFFF
  -> 0A000016:0051      Route   1      3          0         
  -> 0A000015:0051      Route   3      0          0         
TCP  [2001:0db8:0001:0000:0000:0000:0000:0010]:0052 wrr persistent 75000 80000000
  -> [fd00:000a:0000:0000:0000:0000:0000:0032]:0052      Tunnel  2      3          0         
  -> [fd00:000a:0000:0000:0000:0000:0000:0031]:0052      Tunnel  1      0          0         
";

    /// And in how many turns.
    fn counted(shown: &str) -> (u32, usize) {
        let mut count = Count::of(shown.as_bytes());
        let mut turns = 1;
        loop {
            match count.advance() {
                Some(sum) => return (sum, turns),
                None => turns += 1,
            }
        }
    }

    #[test]
    fn connections_to_all_servers_are_added_up() {
        assert_eq!(counted(SHOWN), (7, 1));
        assert_eq!(counted(""), (0, 1));
        assert_eq!(counted("  -> \n  ->\n\u{0}\n  -> x -1 5\n"), (5, 1));
        let most = "  -> 0A00000B:0050      Masq    1      100        4294967295\n";
        assert_eq!(counted(most), (u32::MAX, 1));
    }

    #[test]
    fn a_long_list_takes_several_turns() {
        let server = "  -> 0A00000B:0050      Masq    1      1          1         \n";
        let shown = server.repeat(2 * LINES_PER_TURN + 1);
        assert_eq!(counted(&shown), (4 * 512 + 2, 3));
    }
}
