//! Config text: an image's text, as `polluxctl show` prints it, is read as the same config; any other text
//! is read as a valid config or has its problems shown, never both.

use super::image;
use crate::diagnostic::render;
use crate::polluxctl::read::read;
use plan::config::Config;
use plan::text::to_toml;
use plan::validate;

/// Text, or by the first byte the payload of an image.
pub(super) fn run(bytes: &[u8]) {
    let Some((&kind, bytes)) = bytes.split_first() else {
        return;
    };
    if kind % 2 == 1 {
        if let Some(image) = image::decoded(bytes) {
            returns(&image.config);
        }
        return;
    }
    let Ok(text) = core::str::from_utf8(bytes) else {
        return;
    };
    let reading = read(text);
    if reading.diagnostics.is_empty() {
        assert_eq!(validate(&reading.config), Ok(()));
        returns(&reading.config);
    } else {
        let shown = render("pair.toml", text, &reading.diagnostics);
        assert!(shown.contains(" = help: "), "{shown}");
    }
    if let Some((span, _)) = reading.secret {
        assert!(text.get(span).is_some(), "a password outside the text");
    }
}

fn returns(config: &Config) {
    let text = to_toml(config);
    let reading = read(&text);
    assert_eq!(reading.diagnostics, [], "{text}");
    assert_eq!(&reading.config, config, "{text}");
}

/// Configs as text, without a password in the clear, which takes its time to hash, and their payloads.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = image::seeds();
    seeds.retain(|seed| seed.first() == Some(&1));
    let payloads = seeds.iter().filter_map(|seed| seed.split_first());
    let images = payloads.filter_map(|(_, payload)| image::decoded(payload));
    let texts: Vec<Vec<u8>> = images
        .map(|image| ["\0", &to_toml(&image.config)].concat().into())
        .collect();
    seeds.extend(texts);
    seeds.push("\0[cluster]\nname = 3\nkye = \"\"\n[[node]]\n".into());
    seeds
}
