//! Both boxes as namespaces of one kernel, and the cable between them. Other than in `takeover` there is no bridge, whose work
//! would be counted as theirs.

use super::flows;
use super::place::{Load, PATIENCE, Place, Side, Sight, watch};
use super::subjects::Subject;
use super::usage::{self, Usage};
use crate::takeover::node::Node;
use crate::takeover::world::{self, NODES, address, ip, netns, within};
use anyhow::{Context, Result};
use std::fs::File;
use std::time::{Duration, Instant};

const SENDER: &str = NODES[0];
const TWIN: &str = NODES[1];
/// From one look at a kernel's counter to the next.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// Both nodes on a cable; gone when dropped.
pub(super) struct Cable {
    /// Namespaces of twins that lost their power. Taking down hundreds of thousands of flows is work that no trial is to feel.
    graves: Vec<File>,
}

impl Cable {
    /// Makes the nodes and lays the cable.
    pub(super) fn new() -> Result<Self> {
        ip(&format!(
            "netns add {SENDER}\nnetns add {TWIN}\n\
             link add eth0 netns {SENDER} type veth peer name eth0 netns {TWIN}\n"
        ))?;
        for (node, name) in NODES.into_iter().enumerate() {
            plug(node, name)?;
        }
        Ok(Self { graves: Vec::new() })
    }
}

impl Place for Cable {
    fn start(&mut self, subject: &Subject, node: usize) -> Result<Box<dyn Side>> {
        let name = NODES.get(node).context("there are two nodes")?;
        let node = Node::start(node, &subject.script(node)?, &subject.log(node)?)?;
        Ok(Box::new(Inside { name, node }))
    }

    /// The cable stays in the sender all the while.
    fn renew_twin(&mut self) -> Result<Instant> {
        let begin = Instant::now();
        let grave = File::open(netns(TWIN)).context("opening a namespace")?;
        self.graves.push(grave);
        ip("netns add spare\n")?;
        world::ip_in(TWIN, "link set eth0 netns spare\n")?;
        ip(&format!("netns delete {TWIN}\nnetns add {TWIN}\n"))?;
        world::ip_in("spare", &format!("link set eth0 netns {TWIN}\n"))?;
        ip("netns delete spare\n")?;
        plug(1, TWIN)?;
        Ok(begin)
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        // Whatever fails here the next cable will stumble over and say.
        let _ = ip(&format!("netns delete {SENDER}\nnetns delete {TWIN}\n"));
    }
}

fn plug(node: usize, name: &str) -> Result<()> {
    let own = address(node);
    let lines = format!("link set lo up\nlink set eth0 up\naddress add {own}/24 dev eth0\n");
    world::ip_in(name, &lines)
}

/// A side in a namespace.
struct Inside {
    name: &'static str,
    node: Node,
}

impl Side for Inside {
    fn order(&self, order: &str) -> Result<String> {
        self.node.order(order)
    }

    fn usage(&self) -> Result<Usage> {
        usage::of_tree(self.node.process()?)
    }

    fn load(&self, count: u32) -> Result<Load<'_>> {
        let records = flows::records(count);
        Ok(Box::new(move || {
            within(self.name, move || flows::put_all(&records))
        }))
    }

    fn watch(&self, count: u32) -> Result<Sight> {
        within(self.name, move || {
            watch(count, LOOK_INTERVAL, PATIENCE, flows::count_here)
        })
    }

    fn missing(&self, count: u32) -> Result<u32> {
        within(self.name, move || flows::missing(count))
    }

    fn kill(&mut self) {
        self.node.kill();
    }
}
