//! Names on a config medium, agreed between `polluxctl` (which writes it) and the box (which reads it).
//! A medium is a FAT volume, or the directory `pollux` of the CD; names are compared without case.

use alloc::string::String;

/// Label of the FAT volume.
pub const LABEL: &str = "POLLUX";
/// The two image slots, written alternately.
pub const SLOTS: [&str; 2] = ["SLOT-A.PLX", "SLOT-B.PLX"];
/// Says which box this medium is for: one line `node = castor`.
pub const NODE: &str = "NODE.TXT";
/// The config as text, for people; the box does not read it.
pub const CONFIG: &str = "CONFIG.TOML";
/// Directory that holds these files on the CD.
pub const DIRECTORY: &str = "pollux";

/// The text of `NODE.TXT`.
#[must_use]
pub fn node_text(name: &str) -> String {
    alloc::format!("node = {name}\n")
}

/// The node's name in the text of a `NODE.TXT`; forgives quotes, blanks, `#` comments, DOS line ends and
/// the mark that some editors begin a text with.
#[must_use]
pub fn node_name(text: &str) -> Option<&str> {
    let text = text.trim_start_matches('\u{feff}');
    let value = text.lines().find_map(|line| {
        line.trim()
            .strip_prefix("node")?
            .trim_start()
            .strip_prefix('=')
    })?;
    let value = value.split('#').next()?.trim().trim_matches('"').trim();
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_line_is_read_as_people_write_it() {
        assert_eq!(node_name(&node_text("castor")), Some("castor"));
        assert_eq!(
            node_name("# for the left box\r\n node=\"pollux\" # rack 2\r\n"),
            Some("pollux")
        );
        assert_eq!(node_name("\u{feff}node = castor\r\n"), Some("castor"));
        assert_eq!(node_name("node =\n"), None);
        assert_eq!(node_name("nodes = castor\n"), None);
        assert_eq!(node_name(""), None);
    }
}
