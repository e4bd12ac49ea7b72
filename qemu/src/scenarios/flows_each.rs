//! 500 transfers on each way through the pair: two emulated boxes don't carry all ways' at once, so it is one way after
//! the other, each over a power cut and a rejoin.

use super::flows::Act;
use super::stage::Stage;
use crate::flows::route::WAYS;
use anyhow::{Context, Result};

pub fn run(stage: &mut Stage) -> Result<()> {
    for way in WAYS {
        let pair = stage.firewall_pair()?;
        let act = Act::begin(stage, pair, &[way]).with_context(|| format!("{way:?}"))?;
        survive(&act).with_context(|| format!("{way:?}"))?;
    }
    Ok(())
}

fn survive(act: &Act) -> Result<()> {
    act.pair.wait_in_sync()?;
    let active = act.pair.active()?;
    act.power_cut(active)?;
    act.rejoin(active)?;
    act.end()
}
