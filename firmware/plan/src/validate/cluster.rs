//! Checks of the cluster, its nodes and the console.

use super::{Problems, is_repeated};
use crate::config::{Config, Timing};
use crate::password::ITERATIONS_MAX;
use alloc::format;

pub(super) fn check(config: &Config, problems: &mut Problems) {
    let cluster = &config.cluster;
    problems.name("cluster.name".into(), &cluster.name, 32);
    if cluster.key == [0; 32] {
        let advice = "write the line that `polluxctl keygen` prints";
        problems.add(
            "cluster.key".into(),
            &"the key",
            "is all zeros, which anyone can guess",
            advice,
        );
    }
    timing(cluster.timing, problems);
    nodes(config, problems);
    if let Some(password) = &config.console.password {
        let bounds = (1, u64::from(ITERATIONS_MAX));
        problems.within(
            "console.password.iterations".into(),
            password.iterations.into(),
            bounds,
            " iterations",
        );
    }
}

fn timing(timing: Timing, problems: &mut Problems) {
    let Timing::Explicit { beat_ms, dead_ms } = timing else {
        return;
    };
    problems.within(
        "cluster.timing.beat_ms".into(),
        beat_ms.into(),
        (1, 10_000),
        " ms",
    );
    let dead_ms_min = u32::from(beat_ms) * 3;
    if u32::from(dead_ms) < dead_ms_min {
        let fault = "ms is less than three beats: two lost beats would look like a dead box";
        let advice = format!("write {dead_ms_min} or more");
        problems.add("cluster.timing.dead_ms".into(), &dead_ms, fault, &advice);
    }
}

fn nodes(config: &Config, problems: &mut Problems) {
    let nodes = &config.nodes;
    if nodes.len() != 2 {
        problems.add(
            "nodes".into(),
            &nodes.len(),
            "nodes are no pair",
            "write two [[node]] sections",
        );
    }
    for (position, node) in nodes.iter().enumerate() {
        let path = |field| format!("nodes[{position}].{field}");
        problems.name(path("name"), &node.name, 32);
        if is_repeated(nodes.iter().map(|node| &node.name), position, &&node.name) {
            problems.add(
                path("name"),
                &node.name,
                "names two nodes",
                "give each node its own name",
            );
        }
        problems.within(path("number"), node.number.into(), (1, 255), "");
        if is_repeated(nodes.iter().map(|node| node.number), position, &node.number) {
            problems.add(
                path("number"),
                &node.number,
                "numbers two nodes",
                "give each node its own number",
            );
        }
    }
    if !nodes.is_sorted_by_key(|node| node.number) {
        problems.add(
            "nodes".into(),
            &"the list",
            "is not in ascending order of number",
            "sort it",
        );
    }
}
