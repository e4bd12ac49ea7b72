//! The ruleset that belongs in the kernel, kept for as long as nothing changes that it depends on: a large one takes
//! its time to make, and to compare with the one in force.

use plan::config::Config;
use plan::kernel::Device;
use plan::ruleset::Ruleset;
use std::sync::Arc;

/// What it was made of, and it.
#[derive(Default)]
pub struct Draft(Option<(Source, Arc<Ruleset>)>);

struct Source {
    config: Arc<Config>,
    node: usize,
    /// All of a device that decides which interface it is.
    devices: Vec<(String, [u8; 6])>,
}

impl Draft {
    /// Whether `ruleset` has to make one, which may take seconds.
    pub fn is_out_of_date(&self, config: &Arc<Config>, node: usize, devices: &[Device]) -> bool {
        let source = self.0.as_ref().map(|(source, _)| source);
        source.is_none_or(|source| !source.is_of(config, node, devices))
    }

    /// The ruleset of node `node`; the same one as long as it is asked for with the same config.
    pub fn ruleset(
        &mut self,
        config: &Arc<Config>,
        node: usize,
        devices: &[Device],
    ) -> Arc<Ruleset> {
        if let Some((_, ruleset)) = &self.0
            && !self.is_out_of_date(config, node, devices)
        {
            return Arc::clone(ruleset);
        }
        let ruleset = Arc::new(plan::firewall::ruleset(config, node, devices));
        let source = Source {
            config: Arc::clone(config),
            node,
            devices: devices
                .iter()
                .map(|device| (device.name.clone(), device.known_by()))
                .collect(),
        };
        self.0 = Some((source, Arc::clone(&ruleset)));
        ruleset
    }
}

impl Source {
    fn is_of(&self, config: &Arc<Config>, node: usize, devices: &[Device]) -> bool {
        let same = |((name, mac), device): (&(String, [u8; 6]), &Device)| {
            *name == device.name && *mac == device.known_by()
        };
        Arc::ptr_eq(&self.config, config)
            && self.node == node
            && self.devices.len() == devices.len()
            && self.devices.iter().zip(devices).all(same)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::samples::balancer;

    #[test]
    fn it_is_made_anew_only_when_config_node_or_devices_are_others() {
        let config = Arc::new(balancer());
        let mut device = Device {
            index: 2,
            name: "eth0".into(),
            mac: [0x52, 0x54, 0, 0, 1, 1],
            permanent_mac: None,
            up: false,
            carrier: false,
            mtu_bytes: 1500,
        };
        let mut draft = Draft::default();
        let first = draft.ruleset(&config, 0, std::slice::from_ref(&device));
        device.up = true;
        let same = draft.ruleset(&config, 0, std::slice::from_ref(&device));
        assert!(Arc::ptr_eq(&first, &same));
        let others = [
            draft.ruleset(&config, 1, std::slice::from_ref(&device)),
            draft.ruleset(&config, 1, &[]),
            draft.ruleset(&Arc::new(balancer()), 1, &[]),
        ];
        assert!(!others.iter().any(|other| Arc::ptr_eq(&first, other)));
    }
}
