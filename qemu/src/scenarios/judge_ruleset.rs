//! The whole ruleset in a box's kernel, as Debian's nft lists it there, against the one that `polluxctl rules` promises
//! for that box. The promise goes through nft too, into a network namespace of its own, so both are in nft's own form;
//! counts are left out, and elements of sets are sorted.

use super::judge_firewall::Views;
use super::stage::ensure;
use crate::net::{NETWORKS, NODES, mac};
use crate::ns;
use crate::pair::{Pair, World};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::process::Command;

/// A box has no list of the names of protocols.
const LIST: &str = "nft --stateless --numeric-protocol list ruleset";

/// Every line of every table that box `node` holds, and of what it should hold.
pub fn views(world: &World, pair: &Pair, node: usize) -> Result<Views> {
    let held = pair.shell(node, LIST)?;
    let promised = promise(world, pair, node)?;
    Ok(Views {
        judge: numbered(&held),
        ours: numbered(&promised),
    })
}

/// What `polluxctl rules` says, which calls cards as the config calls their interfaces, with the names they have here.
fn promise(world: &World, pair: &Pair, node: usize) -> Result<Vec<String>> {
    let name = *NODES.get(node).context("a pair has two boxes")?;
    let config = pair.logs.join(format!("{name}.toml"));
    let mut rules = world.tools.rules(&config, name)?;
    ensure(!rules.is_empty(), "polluxctl should print rules", "none")?;
    let cards = pair.shell(node, "grep . /sys/class/net/*/address")?;
    for network in NETWORKS {
        let mac = mac(node, network);
        let card = cards.iter().find(|line| line.trim_end().ends_with(&mac));
        let card = card.and_then(|line| line.split('/').nth(4));
        let card = card.with_context(|| format!("no card {mac} among {cards:?}"))?;
        rules = rules.replace(&format!("\"{network}\""), &format!("\"{card}\""));
    }
    let mut nft = Command::new("unshare");
    nft.args(["--net", "sh", "-ec", &format!("nft -f -; {LIST}")]);
    let listing = ns::ask(&mut nft, &rules)?;
    Ok(listing.lines().map(str::to_owned).collect())
}

/// Lines with their numbers, for their order counts.
fn numbered(lines: &[String]) -> BTreeSet<String> {
    let mut whole: Vec<String> = Vec::new();
    let mut is_open = false;
    for line in lines
        .iter()
        .map(|line| line.trim())
        .filter(|line| !line.is_empty())
    {
        match whole.last_mut() {
            Some(last) if is_open => *last += &format!(" {line}"),
            _ => whole.push(line.to_owned()),
        }
        // A set that does not fit a line; a block's brace ends its line.
        let begins = line.contains('{') && !line.ends_with('{');
        is_open = (is_open || begins) && !line.contains('}');
    }
    let lines = whole
        .iter()
        .zip(1..)
        .map(|(line, number)| format!("{number:>4} {}", sorted(line)));
    lines.collect()
}

/// The kernel gives elements in any order.
fn sorted(line: &str) -> String {
    let Some((before, rest)) = line.split_once("{ ") else {
        return line.to_owned();
    };
    let Some((elements, after)) = rest.rsplit_once(" }") else {
        return line.to_owned();
    };
    let mut elements: Vec<_> = elements.split(',').map(str::trim).collect();
    elements.sort_unstable();
    format!("{before}{{ {} }}{after}", elements.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> BTreeSet<String> {
        numbered(&text.lines().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn elements_may_stand_in_any_order_and_rules_may_not() {
        let set = "table inet a {\n\tset b {\n\t\telements = { 1,\n\t\t\t     2 }\n\t}\n}";
        assert_eq!(
            lines(set),
            lines(&set.replace('1', "3").replace('2', "1").replace('3', "2"))
        );
        assert_eq!(lines(set).len(), 5);
        assert_ne!(lines("accept\ndrop"), lines("drop\naccept"));
        assert_ne!(lines("dport { 1, 2 } drop"), lines("dport { 1, 3 } drop"));
        assert_eq!(lines("dport { 1, 2 } drop"), lines("dport { 2, 1 } drop"));
    }
}
