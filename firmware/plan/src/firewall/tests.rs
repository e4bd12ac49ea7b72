use super::*;
use crate::config::firewall::{
    Action, ConnectionsMax, Policy as ConfigPolicy, Rule as ConfigRule, Side, Traffic, Zone,
};
use crate::ruleset::{Chain, Datum, RejectWith, Statement};
use crate::samples::{devices, pair};
use alloc::string::{String, ToString};

/// Outside, inside, and a link between the boxes that is in no zone.
fn guarded() -> Config {
    let mut config = pair();
    let zone = |name: &str, interface| Zone {
        name: name.into(),
        interfaces: vec![interface],
        anti_spoofing: true,
    };
    config.firewall.zones = vec![zone("outside", 0), zone("inside", 1)];
    config
}

const OUTSIDE: Side = Side::Zone(0);
const INSIDE: Side = Side::Zone(1);

fn rule(from: Side, to: Side, action: Action) -> ConfigRule {
    ConfigRule {
        name: String::new(),
        traffic: Traffic {
            from: vec![from],
            to: vec![to],
            ..Traffic::default()
        },
        states: Vec::new(),
        limit: None,
        connections_max: None,
        log: None,
        action,
    }
}

fn policy(from: Side, to: Side, action: Action) -> ConfigPolicy {
    ConfigPolicy {
        from,
        to,
        action,
        log: false,
    }
}

fn table(config: &Config) -> Table {
    assert_eq!(crate::validate(config), Ok(()));
    ruleset(config, 0, &devices()).tables.remove(0)
}

fn chain<'a>(table: &'a Table, name: &str) -> &'a Chain {
    table
        .chains
        .iter()
        .find(|chain| chain.name == name)
        .unwrap()
}

/// The last word of each rule of a chain, with what it is about.
fn ends(table: &Table, name: &str) -> Vec<String> {
    let end = |rule: &Rule| {
        let about = rule.comment.as_deref().unwrap_or("");
        match rule.statements.last() {
            Some(Statement::Verdict(Verdict::Goto(chain))) => alloc::format!("{about} → {chain}"),
            Some(Statement::Verdict(verdict)) => alloc::format!("{about} → {verdict:?}"),
            other => alloc::format!("{about}: {other:?}"),
        }
    };
    chain(table, name).rules.iter().map(end).collect()
}

fn seal_of(config: &Config) -> u32 {
    let table = table(config);
    let rule = chain(&table, "seal").rules[0].clone();
    match rule.statements[0] {
        Statement::Assign(_, crate::ruleset::Operand::Is(Datum::Mark(mark))) => mark,
        ref other => unreachable!("{other:?}"),
    }
}

#[test]
fn without_zones_nothing_is_filtered_and_before_any_config_everything() {
    let mut config = pair();
    config.services.clear();
    let ruleset = ruleset(&config, 0, &devices());
    assert_eq!(ruleset.tables, [Table::new(Family::Inet, TABLE)]);
    let closed = closed();
    let chains = &closed.tables[0].chains;
    assert_eq!(chains.len(), 3);
    for chain in chains {
        assert_eq!(chain.base.as_ref().unwrap().policy, Policy::Drop);
        assert!(chain.rules.len() <= 1);
    }
}

#[test]
fn what_is_not_said_is_closed() {
    let mut config = guarded();
    config.services.clear();
    let table = table(&config);
    for pair in [
        "outside.inside",
        "inside.outside",
        "inside.inside",
        "inside.box",
        "box.outside",
    ] {
        assert_eq!(ends(&table, pair), ["no rule → refused"], "{pair}");
        let again = pair.to_string() + ".again";
        assert_eq!(ends(&table, &again), ["no rule → cut"], "{pair}");
    }
    for hook in ["input", "forward", "output"] {
        let chain = chain(&table, hook);
        assert_eq!(chain.base.as_ref().unwrap().policy, Policy::Drop, "{hook}");
        assert_eq!(ends(&table, hook).last().unwrap(), "no rule → refused");
    }
}

#[test]
fn rules_come_before_services_and_those_before_policies() {
    let mut config = guarded();
    config.firewall.rules = vec![
        rule(Side::Any, Side::Box, Action::Drop),
        rule(INSIDE, Side::Any, Action::Reject),
    ];
    config.firewall.policies = vec![policy(INSIDE, Side::Box, Action::Accept)];
    let table = table(&config);
    let services = "services → Accept";
    let expected = [
        "rule 1 → Drop",
        services,
        services,
        "policy inside.box → seal",
    ];
    assert_eq!(ends(&table, "inside.box"), expected);
    let expected = ["rule 2 → rejected", "no rule → refused"];
    assert_eq!(ends(&table, "inside.outside"), expected);
    let expected = ["rule 2 → cut", "no rule → cut"];
    assert_eq!(ends(&table, "inside.outside.again"), expected);
    // The box is nobody's `any`.
    assert_eq!(ends(&table, "box.outside"), ["no rule → refused"]);
}

#[test]
fn the_policy_that_names_more_counts() {
    let mut config = guarded();
    config.firewall.policies = vec![
        policy(Side::Any, Side::Any, Action::Drop),
        policy(Side::Any, OUTSIDE, Action::Accept),
        policy(INSIDE, Side::Any, Action::Reject),
    ];
    let end = |config: &Config, chain: &str| ends(&table(config), chain).pop().unwrap();
    assert_eq!(
        end(&config, "outside.inside"),
        "policy outside.inside → Drop"
    );
    assert_eq!(
        end(&config, "outside.outside"),
        "policy outside.outside → seal"
    );
    assert_eq!(
        end(&config, "inside.outside"),
        "policy inside.outside → rejected"
    );
    config
        .firewall
        .policies
        .push(policy(INSIDE, OUTSIDE, Action::Accept));
    assert_eq!(
        end(&config, "inside.outside"),
        "policy inside.outside → seal"
    );
    assert_eq!(end(&config, "inside.box"), "no rule → refused");
}

#[test]
fn the_seal_is_the_same_on_both_boxes_and_another_for_other_rules() {
    let config = guarded();
    let seal = seal_of(&config);
    assert!(seal != 0 && seal & 1 == 0);
    let mut other = config.clone();
    other.services.clear();
    other.cluster.key = [9; 32];
    assert_eq!(seal_of(&other), seal);
    other
        .firewall
        .policies
        .push(policy(INSIDE, OUTSIDE, Action::Accept));
    assert_ne!(seal_of(&other), seal);
    let twin = ruleset(&config, 1, &devices()).tables.remove(0);
    assert_eq!(chain(&twin, "seal"), chain(&table(&config), "seal"));
}

#[test]
fn a_missing_card_is_closed_and_the_others_are_not() {
    let config = guarded();
    let without_wan = &devices()[1..];
    let table = ruleset(&config, 0, without_wan).tables.remove(0);
    let text = alloc::format!("{:?}", table.chains);
    let name = |name| alloc::format!("{:?}", InterfaceName::new(name).unwrap());
    assert!(!text.contains(&name("eth0")) && text.contains(&name("eth1")));
    assert_eq!(ends(&table, "forward").last().unwrap(), "no rule → refused");
}

#[test]
fn limits_are_shared_by_all_pairs_and_kept_per_source_where_told() {
    let mut config = guarded();
    let mut limited = rule(Side::Any, Side::Any, Action::Accept);
    limited.connections_max = Some(ConnectionsMax {
        count: 9,
        per_source: true,
    });
    limited.log = Some("many".into());
    config.firewall.rules.push(limited);
    let table = table(&config);
    assert_eq!(
        ends(&table, "rule.1"),
        ["rule 1 → rule.1.log", "rule 1 → rule.1.log"]
    );
    assert_eq!(ends(&table, "rule.1.log").last().unwrap(), "rule 1 → seal");
    let jumps = table.chains.iter().flat_map(|chain| &chain.rules);
    let jump = Statement::Verdict(Verdict::Jump("rule.1".into()));
    let jumps = jumps.filter(|rule| rule.statements.last() == Some(&jump));
    assert_eq!(jumps.count(), 4, "outside and inside, each to each");
    let sets: Vec<_> = table
        .sets
        .iter()
        .filter(|set| set.shape.is_dynamic && set.shape.key.len() == 1)
        .collect();
    assert_eq!(sets.len(), 2);
    // One that was within the limit is not cut for it.
    assert_eq!(ends(&table, "inside.outside.again")[0], "rule 1 → seal");
}

#[test]
fn what_was_open_is_cut_with_a_reset() {
    let table = table(&guarded());
    let cut = chain(&table, "cut");
    let reset = Statement::Reject(RejectWith::TcpReset);
    assert!(
        cut.rules
            .iter()
            .any(|rule| rule.statements.last() == Some(&reset))
    );
    assert!(ends(&table, "cut").last().unwrap().ends_with("Drop"));
}

#[test]
fn a_segment_of_an_unknown_connection_to_a_service_is_first_held_and_later_reset() {
    for config in [pair(), guarded()] {
        let table = table(&config);
        let chain = chain(&table, "orphans");
        let base = chain.base.as_ref().unwrap();
        assert_eq!(base.policy, Policy::Accept);
        // ip_vs_core.c has its requests at NF_IP_PRI_NAT_SRC - 1.
        assert!(base.priority > 99);
        let ends = ends(&table, "orphans");
        assert_eq!(ends.first().unwrap(), "not known yet → Drop");
        assert_eq!(ends.get(1).unwrap(), "not known still → Accept");
        assert_eq!(ends.get(2).unwrap(), "not known → Drop");
        assert!(table.sets.iter().any(|set| set.name == "held.4"));
    }
}
