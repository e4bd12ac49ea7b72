//! IP protocol numbers by the names that operators use (IANA, "Assigned Internet Protocol Numbers").

const NAMES: [(u8, &str); 12] = [
    (1, "icmp"),
    (2, "igmp"),
    (4, "ipip"),
    (6, "tcp"),
    (17, "udp"),
    (33, "dccp"),
    (41, "ipv6"),
    (47, "gre"),
    (50, "esp"),
    (58, "icmpv6"),
    (132, "sctp"),
    (136, "udplite"),
];

/// The name; the number where there is none.
pub fn name(number: u8) -> String {
    let known = NAMES.iter().find(|(known, _)| *known == number);
    known.map_or_else(|| number.to_string(), |(_, name)| (*name).into())
}

/// By name or number.
pub fn number(word: &str) -> Option<u8> {
    let known = NAMES.iter().find(|(_, name)| *name == word);
    known
        .map(|(number, _)| *number)
        .or_else(|| word.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_lead_to_each_other() {
        assert_eq!((name(6).as_str(), name(99).as_str()), ("tcp", "99"));
        let numbers = ["tcp", "99", "tpc"].map(number);
        assert_eq!(numbers, [Some(6), Some(99), None]);
    }
}
