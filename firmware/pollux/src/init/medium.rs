//! Which of the media found holds the config this box shall run, and what is wrong with the others.
//! Pure: what was read comes in, the choice and sentences for the operator come out. Of several valid
//! images the highest generation wins, wherever it lies.

use plan::image::{self, Image};
use plan::medium::{self, NODE, SLOTS};
use serde::{Deserialize, Serialize};

/// What was read of one block device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Medium {
    /// The device and where on it we looked: `sdb1 (vfat)`, `sr0 (iso9660, pollux/)`.
    pub place: String,
    /// Text of NODE.TXT.
    pub node: Option<String>,
    /// Slots that are there: index into `SLOTS`, and bytes.
    pub slots: Vec<(u8, Vec<u8>)>,
    /// What could not be read and why.
    pub problems: Vec<String>,
}

impl Medium {
    /// What the slot at a position of `slots` is called.
    pub fn slot_name(&self, position: usize) -> &'static str {
        let slot = self.slots.get(position);
        let slot = slot.and_then(|(slot, _)| SLOTS.get(usize::from(*slot)));
        slot.copied().unwrap_or("?")
    }
}

/// The config this box shall run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// Medium and slot.
    pub place: String,
    /// The image as it was read.
    pub bytes: Vec<u8>,
    /// The same, decoded; valid.
    pub image: Image,
    /// This box: index into its nodes.
    pub node: usize,
}

/// The outcome of a search.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Choice {
    /// `None`: nothing valid was found.
    pub selected: Option<Selected>,
    /// Everything that was wrong, and what was passed over, as sentences.
    pub remarks: Vec<String>,
}

/// Judges a medium alone. What it holds may be large, so this is done once.
pub fn judge(medium: &Medium) -> Choice {
    let mut remarks = Vec::new();
    Choice {
        selected: find(medium, &mut remarks),
        remarks,
    }
}

/// The best of what was found on several media.
pub fn best<'a>(media: impl Iterator<Item = &'a Choice>) -> Choice {
    let mut best: Option<&Selected> = None;
    let mut remarks = Vec::new();
    for medium in media {
        remarks.extend(medium.remarks.iter().cloned());
        let Some(found) = &medium.selected else {
            continue;
        };
        let passed_over = match best {
            Some(best) if best.image.generation >= found.image.generation => Some(found),
            _ => best.replace(found),
        };
        if let Some(other) = passed_over {
            let generation = other.image.generation;
            let remark = format!(
                "{}: generation {generation}, passed over for a newer one",
                other.place
            );
            remarks.push(remark);
        }
    }
    Choice {
        selected: best.cloned(),
        remarks,
    }
}

fn find(medium: &Medium, remarks: &mut Vec<String>) -> Option<Selected> {
    let place = &medium.place;
    let problems = medium.problems.iter();
    remarks.extend(problems.map(|problem| format!("{place}: {problem}")));
    if medium.slots.is_empty() {
        if medium.problems.is_empty() {
            let [a, b] = SLOTS;
            remarks.push(format!("{place}: neither {a} nor {b} is there"));
        }
        return None;
    }
    let bytes: Vec<&[u8]> = medium.slots.iter().map(|(_, slot)| &**slot).collect();
    let image::Choice { newest, rejected } = image::newest(&bytes);
    for (position, error) in rejected {
        remarks.push(format!("{place}: {}: {error}", medium.slot_name(position)));
    }
    let (position, image) = newest?;
    let node = match node_of(medium, &image) {
        Ok(node) => node,
        Err(why) => {
            remarks.push(format!("{place}: {why}"));
            return None;
        }
    };
    Some(Selected {
        place: format!("{place} {}", medium.slot_name(position)),
        bytes: medium.slots.get(position)?.1.clone(),
        image,
        node,
    })
}

fn node_of(medium: &Medium, image: &Image) -> Result<usize, String> {
    let text = medium.node.as_deref();
    let names: Vec<&str> = image.config.nodes.iter().map(|node| &*node.name).collect();
    let names_text = names.join("` or `node = ");
    let name = text.and_then(medium::node_name).ok_or_else(|| {
        format!("{NODE} does not say which box this is: write `node = {names_text}`")
    })?;
    names.iter().position(|known| *known == name).ok_or_else(|| {
        format!("{NODE} says `node = {name}`, which the config does not know: write `node = {names_text}`")
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::samples::config;

    fn medium(place: &str, node: &str, slots: &[Vec<u8>]) -> Medium {
        Medium {
            place: place.into(),
            node: Some(format!("node = {node}\n")),
            slots: (0..).zip(slots.iter().cloned()).collect(),
            problems: Vec::new(),
        }
    }

    fn choose(media: &[Medium]) -> Choice {
        let judged: Vec<Choice> = media.iter().map(judge).collect();
        best(judged.iter())
    }

    fn image(generation: u64) -> Vec<u8> {
        image::encode(&config(), generation).unwrap()
    }

    #[test]
    fn the_highest_generation_wins_wherever_it_lies() {
        let choice = choose(&[
            medium("fd0", "castor", &[image(3), image(4)]),
            medium("sda1", "pollux", &[image(6), image(5)]),
            medium("sr0", "castor", &[image(1)]),
        ]);
        let selected = choice.selected.unwrap();
        assert_eq!(selected.place, "sda1 SLOT-A.PLX");
        assert_eq!((selected.image.generation, selected.node), (6, 1));
        assert_eq!(choice.remarks.len(), 2);
    }

    #[test]
    fn a_torn_slot_leaves_the_other_and_is_said() {
        let mut torn = image(9);
        torn.truncate(50);
        let choice = choose(&[medium("fd0", "castor", &[image(3), torn])]);
        assert_eq!(choice.selected.unwrap().image.generation, 3);
        assert!(
            choice.remarks[0].starts_with("fd0: SLOT-B.PLX: "),
            "{:?}",
            choice.remarks
        );
    }

    #[test]
    fn an_unknown_box_is_told_which_names_there_are() {
        let choice = choose(&[medium("fd0", "kastor", &[image(3)])]);
        assert_eq!(choice.selected, None);
        assert_eq!(
            choice.remarks[0],
            "fd0: NODE.TXT says `node = kastor`, which the config does not know: \
             write `node = castor` or `node = pollux`"
        );
    }

    #[test]
    fn an_empty_medium_is_said() {
        let choice = choose(&[medium("sdb1 (vfat)", "castor", &[])]);
        assert_eq!(
            choice.remarks,
            ["sdb1 (vfat): neither SLOT-A.PLX nor SLOT-B.PLX is there"]
        );
    }
}
