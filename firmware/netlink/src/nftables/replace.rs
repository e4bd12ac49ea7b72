//! A whole ruleset in the place of what the kernel holds of ours, by one batch. Base chains that hook where they
//! did stay, and only change their rules: packets that come by meanwhile see all of the old rules or all of
//! the new ones, never none, and the policy always stands.

use super::Kind;
use super::batch::{Batch, Draft};
use super::chain;
use super::element;
use super::held::{Held, HeldChain, HeldTable};
use super::object;
use super::refusal::{Place, Unsayable, Why};
use super::rule;
use super::set;
use super::statement::Names;
use super::writer::Writer;
use neli::consts::nl::NlmF;
use plan::ruleset::{Chain, Ruleset, Table};
use std::collections::BTreeMap;

/// NFTA_*_TABLE of rules, chains, sets, objects and flowtables.
const OF_TABLE: u16 = 1;

/// NFTA_CHAIN_NAME, NFTA_CHAIN_POLICY, NFTA_SET_NAME, NFTA_OBJ_NAME, NFTA_OBJ_TYPE, NFTA_FLOWTABLE_NAME.
const CHAIN_NAME: u16 = 3;
const CHAIN_POLICY: u16 = 5;
const NAME: u16 = 2;
const OBJECT_TYPE: u16 = 3;

/// The batch that makes `ruleset` all that the kernel holds of ours, where it holds `held` at `generation`. It
/// takes as many sequence numbers, from `first_sequence`, as it has messages.
///
/// # Errors
/// A ruleset that is not consistent: a program made it, so this is an error of that program.
pub fn replace<'a>(
    ruleset: &'a Ruleset,
    held: &Held,
    generation: u32,
    first_sequence: u32,
) -> Result<Batch<'a>, Unsayable> {
    let mut draft = Draft::open(ruleset, generation, first_sequence);
    for old in &held.tables {
        let mut tables = ruleset.tables.iter();
        match tables.find(|table| table.family == old.family && table.name == old.name) {
            Some(table) => empty(&mut draft, old, table),
            None => chain::delete_table(&mut draft, old.family, &old.name),
        }
    }
    for (position, table) in ruleset.tables.iter().enumerate() {
        let old = held.table(table.family, &table.name);
        let filled = fill(&mut draft, position, table, old);
        filled.map_err(|(place, why)| Unsayable::new(place, ruleset, why))?;
    }
    draft.close()
}

/// Takes everything out of a table but the chains that may stay.
fn empty(draft: &mut Draft<'_>, old: &HeldTable, new: &Table) {
    let mut delete = |kind, attributes: &dyn Fn(&mut Writer)| {
        draft.message(kind, NlmF::empty(), old.family, Place::Old, |writer| {
            writer.text(OF_TABLE, &old.name);
            attributes(writer);
        });
    };
    // All of the table's.
    delete(Kind::DeleteRule, &|_| ());
    let wanted: BTreeMap<_, _> = new.chains.iter().map(by_name).collect();
    for name in &old.sets {
        delete(Kind::DeleteSet, &|writer| writer.text(NAME, name));
    }
    for chain in &old.chains {
        let wanted = wanted.get(chain.name.as_str());
        if !wanted.is_some_and(|wanted| stays(chain, new, wanted)) {
            delete(Kind::DeleteChain, &|writer| {
                writer.text(CHAIN_NAME, &chain.name);
            });
        }
    }
    for name in &old.flowtables {
        delete(Kind::DeleteFlowtable, &|writer| writer.text(NAME, name));
    }
    for (kind, name) in &old.objects {
        delete(Kind::DeleteObject, &|writer| {
            writer.text(NAME, name);
            writer.u32(OBJECT_TYPE, *kind);
        });
    }
}

fn by_name(chain: &Chain) -> (&str, &Chain) {
    (&chain.name, chain)
}

/// Whether a chain may stay for the one of its name that is wanted.
fn stays(old: &HeldChain, new: &Table, wanted: &Chain) -> bool {
    old.is_hooked_as(new.family, wanted.base.as_ref())
}

type Failure = (Place, Why);

fn fill<'a>(
    draft: &mut Draft<'a>,
    t: usize,
    table: &'a Table,
    old: Option<&HeldTable>,
) -> Result<(), Failure> {
    chain::add_table(draft, t, table);
    // Objects before the maps that lead to them, chains before the maps and rules that jump to them.
    for (o, object) in table.objects.iter().enumerate() {
        object::add(draft, Place::Object(t, o), table, object);
    }
    for (f, flowtable) in table.flowtables.iter().enumerate() {
        chain::add_flowtable(draft, Place::Flowtable(t, f), table, flowtable);
    }
    let old = old.into_iter().flat_map(|old| &old.chains);
    let old: BTreeMap<_, _> = old.map(|chain| (chain.name.as_str(), chain)).collect();
    for (c, chain) in table.chains.iter().enumerate() {
        let place = Place::Chain(t, c);
        match old.get(chain.name.as_str()) {
            Some(old) if stays(old, table, chain) => keep_chain(draft, place, table, chain),
            _ => chain::add(draft, place, table, chain),
        }
    }
    fill_sets(draft, t, table)?;
    let names = Names {
        sets: table
            .sets
            .iter()
            .map(|set| (set.name.as_str(), set.shape.key.as_slice()))
            .collect(),
        maps: table
            .maps
            .iter()
            .map(|map| (map.name.as_str(), map))
            .collect(),
    };
    for (c, chain) in table.chains.iter().enumerate() {
        for (r, rule) in chain.rules.iter().enumerate() {
            let place = Place::Rule(t, c, r);
            let added = rule::add(draft, place, table, &names, &chain.name, rule);
            added.map_err(|why| (place, why))?;
        }
    }
    Ok(())
}

/// Gives a chain that stays its policy.
fn keep_chain(draft: &mut Draft<'_>, place: Place, table: &Table, chain: &Chain) {
    let Some(base) = &chain.base else { return };
    let policy = chain::policy_number(base.policy);
    draft.message(
        Kind::NewChain,
        NlmF::CREATE,
        table.family,
        place,
        |writer| {
            writer.text(OF_TABLE, &table.name);
            writer.text(CHAIN_NAME, &chain.name);
            writer.u32(CHAIN_POLICY, policy);
        },
    );
}

fn fill_sets(draft: &mut Draft<'_>, t: usize, table: &Table) -> Result<(), Failure> {
    for (s, declared) in table.sets.iter().enumerate() {
        let place = Place::Set(t, s);
        let content = element::Content::Elements(&declared.elements);
        let filled = set::declare(
            draft,
            place,
            table,
            &declared.name,
            &declared.shape,
            &content,
        )
        .and_then(|layout| element::add(draft, place, table, &declared.name, &layout, &content));
        filled.map_err(|why| (place, why))?;
    }
    for (m, map) in table.maps.iter().enumerate() {
        let place = Place::Map(t, m);
        let content = set::map_content(&map.entries);
        let filled = set::declare(draft, place, table, &map.name, &map.shape, &content)
            .and_then(|layout| element::add(draft, place, table, &map.name, &layout, &content));
        filled.map_err(|why| (place, why))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
