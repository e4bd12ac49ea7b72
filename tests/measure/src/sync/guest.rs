//! What is done inside of a machine: requests come as lines of JSON on its first serial port and are answered there, one by
//! one. It is all that runs beside the subject, and works on the flows by the same code as in a namespace.

use super::flows;
use super::place::{PATIENCE, watch};
use super::usage;
use crate::takeover::world::run;
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// Said when requests are taken.
pub(super) const READY: &str = "bench: ready";
/// From one look at the kernel's counter to the next: on an emulated processor a look takes its time.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// What is asked for.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Request {
    /// This script is to run from now on, as the subject.
    Start(String),
    /// What this line for the shell says.
    Order(String),
    /// What the subject's processes have used.
    Usage,
    /// So many flows, to be put later.
    Make(u32),
    /// Those are to be put into the kernel.
    Put,
    /// A word when the kernel holds so many flows, or no more come.
    Watch(u32),
    /// How many of so many first flows the kernel does not hold.
    Missing(u32),
}

/// What is known from one request to the next.
#[derive(Default)]
struct Guest {
    subject: Option<Child>,
    records: Arc<Vec<flows::Record>>,
}

/// Takes requests from the standard input until that ends.
pub(crate) fn serve() -> Result<()> {
    let mut guest = Guest::default();
    println!("{READY}");
    for line in std::io::stdin().lines() {
        let answer = guest.answer(&line.context("reading a request")?);
        let answer = answer.map_err(|error| format!("{error:#}"));
        println!("{}", serde_json::to_string(&answer)?);
    }
    Ok(())
}

impl Guest {
    fn answer(&mut self, line: &str) -> Result<Value> {
        let request =
            serde_json::from_str(line).with_context(|| format!("reading the request {line:?}"))?;
        Ok(match request {
            Request::Start(script) => self.start(&script)?.into(),
            Request::Order(order) => run(Command::new("sh").args(["-ec", &order]))?.into(),
            Request::Usage => serde_json::to_value(self.usage()?)?,
            Request::Make(count) => {
                self.records = flows::records(count);
                Value::Null
            }
            Request::Put => flows::put_all(&self.records)?.into(),
            Request::Watch(count) => {
                let sight = watch(count, LOOK_INTERVAL, PATIENCE, flows::count_here)?;
                serde_json::to_value(sight)?
            }
            Request::Missing(count) => flows::missing(count)?.into(),
        })
    }

    /// The subject says on the console what it has to say.
    fn start(&mut self, script: &str) -> Result<()> {
        ensure!(self.subject.is_none(), "a subject runs already");
        let console = File::options().write(true).open("/dev/console")?;
        let mut command = Command::new("sh");
        command.args(["-ec", script]).stdin(Stdio::null());
        command.stdout(console.try_clone()?).stderr(console);
        self.subject = Some(command.spawn().context("starting the subject")?);
        Ok(())
    }

    fn usage(&self) -> Result<usage::Usage> {
        let subject = self.subject.as_ref().context("no subject runs")?;
        usage::of_tree(i32::try_from(subject.id())?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_line_and_an_unknown_one_is_refused() {
        let request = Request::Order("a\nb".into());
        let line = serde_json::to_string(&request).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), request);
        assert!(Guest::default().answer("{\"Dance\":1}").is_err());
    }

    #[test]
    fn an_order_is_carried_out() {
        let order = serde_json::to_string(&Request::Order("echo well".into())).unwrap();
        let answer = Guest::default().answer(&order).unwrap();
        assert_eq!(answer, Value::String("well\n".into()));
    }

    #[test]
    fn without_a_subject_nothing_is_used() {
        let usage = serde_json::to_string(&Request::Usage).unwrap();
        assert!(Guest::default().answer(&usage).is_err());
    }
}
