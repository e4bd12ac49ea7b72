//! The hooks: what each packet meets, in this order, and the verdicts that chains end with.

use super::needs::{Way, at};
use super::rules::{cut, logged, refused, seal};
use super::traffic::View;
use super::{BEHIND_BALANCER, Plan, counted, loopback};
use crate::config::firewall::{HelperProtocol as ConfigHelper, Side};
use crate::ruleset::{
    Assignment, Chain, ConnectionStates, ConnectionStatus, Ct, Datum, Direction, Element, Field,
    Helper, HelperProtocol, Hook, InterfaceName, Key, Meta, Object, ObjectContent, ObjectKind,
    Operand, Policy, RejectWith, Rule, Selector, Span, Statement, Table, Tcp, Test, Udp,
    UnreachableCode, Verdict, VerdictMap, priority,
};
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

/// Where a packet is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Input,
    Forward,
    Output,
}

impl Plan<'_> {
    /// Before tracking: forged sources, and what is not to be tracked. Behind it: helpers.
    pub(super) fn before_routing(&self, table: &mut Table) {
        let untracked = |rule: Rule| rule.and(Statement::Notrack);
        let mut raw = Chain::base(
            "prerouting",
            Hook::Prerouting,
            priority::RAW,
            Policy::Accept,
        );
        raw.rules = loopback(Meta::InputName);
        let between = self.between_the_boxes(Way::In).into_iter();
        raw.rules
            .extend(between.map(|rule| untracked(rule).then(Verdict::Accept)));
        raw.rules.extend(self.spoofing(table));
        raw.rules.extend(self.requests().into_iter().map(untracked));
        table.chains.push(raw);

        let mut raw = Chain::base("sending", Hook::Output, priority::RAW, Policy::Accept);
        let between = self.between_the_boxes(Way::Out).into_iter();
        raw.rules.extend(between.map(untracked));
        raw.rules.extend(self.tunnels().into_iter().map(untracked));
        table.chains.push(raw);
        self.helpers(table);
    }

    fn helpers(&self, table: &mut Table) {
        let helpers = &self.config.firewall.helpers;
        if helpers.is_empty() {
            return;
        }
        let mut chain = Chain::base(
            "helpers",
            Hook::Prerouting,
            priority::MANGLE,
            Policy::Accept,
        );
        for helper in helpers {
            let devices = self.layout.sides(&helper.from);
            if devices.is_empty() {
                continue;
            }
            for (name, protocol, port) in readers(helper.protocol) {
                let ports =
                    super::terms::one_of(helper.ports.iter().map(|&port| Datum::Port(port)));
                let rule = at(Rule::about(helper.protocol.name()), Way::In, &devices);
                let rule = rule
                    .and(Statement::state(ConnectionStates::NEW))
                    .when(port, ports)
                    .and(Statement::Object(ObjectKind::Helper, name.to_string()));
                chain.rules.push(rule);
                if !table.objects.iter().any(|object| object.name == name) {
                    table.objects.push(Object {
                        name: name.to_string(),
                        content: ObjectContent::Helper(Helper { protocol }),
                    });
                }
            }
        }
        table.chains.push(chain);
    }

    /// Chains that others end with.
    pub(super) fn verdicts(&self, table: &mut Table) {
        let mark =
            |mark| Statement::Assign(Assignment::ConnectionMark, Operand::Is(Datum::Mark(mark)));
        let chain = |name, rules| Chain {
            rules,
            ..Chain::regular(name)
        };
        let accept = Rule::about("accepted by these rules").and(mark(self.seal));
        let end = Rule::about("open before, forbidden now").and(mark(self.seal | 1));
        let reset = Rule::default().and(Statement::Reject(RejectWith::TcpReset));
        let gone = counted(Rule::default(), Verdict::Drop);
        let prohibited =
            Statement::Reject(RejectWith::Unreachable(UnreachableCode::AdminProhibited));
        let mut refuse = Vec::new();
        if self.config.firewall.log_refused {
            refuse.push(logged("no rule", "refused: "));
        }
        refuse.push(counted(Rule::about("no rule"), Verdict::Drop));
        table.chains.extend([
            chain("seal", vec![accept.then(Verdict::Accept)]),
            chain("cut", vec![end, reset.clone(), gone]),
            chain("rejected", vec![reset, Rule::default().and(prohibited)]),
            chain("refused", refuse),
        ]);
    }

    /// The base chains that filter.
    pub(super) fn hooks(&self, table: &mut Table) {
        let base = |name, hook, priority| Chain::base(name, hook, priority, Policy::Drop);
        let mut input = base("input", Hook::Input, priority::FILTER);
        input.rules = loopback(Meta::InputName);
        input.rules.extend(self.always(Way::In));
        self.judge(Place::Input, &mut input.rules);

        let mut forward = base("forward", Hook::Forward, priority::FILTER);
        self.judge(Place::Forward, &mut forward.rules);

        let mut output = base("output", Hook::Output, priority::FILTER);
        output.rules = loopback(Meta::OutputName);
        output.rules.extend(self.always(Way::Out));
        output.rules.extend(self.passed_on());
        self.judge(Place::Output, &mut output.rules);

        if self.has_answers() {
            let mut answers = base("forward.balanced", Hook::Forward, BEHIND_BALANCER);
            answers.rules = self.answered();
            answers.rules.extend(self.invalid());
            answers
                .rules
                .extend(self.dispatch(Place::Forward, Judged::Begins));
            answers.rules.push(Rule::about("no rule").then(refused()));
            table.chains.push(answers);
        }
        table.chains.extend([input, forward, output]);
    }

    fn judge(&self, place: Place, rules: &mut Vec<Rule>) {
        let open = ConnectionStates::ESTABLISHED | ConnectionStates::RELATED;
        let marked = |about: &str, mark| {
            let rule = Rule::about(about).and(Statement::state(open));
            rule.when(Ct::Mark, Test::Is(Datum::Mark(mark)))
        };
        rules.push(marked("open", self.seal).then(Verdict::Accept));
        rules.push(marked("cut", self.seal | 1).then(cut()));
        if place == Place::Forward {
            rules.extend(self.answers());
        }
        rules.extend(self.invalid());

        // From here on: what was open before these rules, and then what begins.
        let expected = Datum::Status(ConnectionStatus::EXPECTED);
        let errors = Rule::about("errors").and(Statement::state(ConnectionStates::RELATED));
        rules.push(
            errors
                .when(Ct::Status, Test::No(expected))
                .then(Verdict::Accept),
        );
        if !self.config.firewall.helpers.is_empty() {
            let rule = Rule::about("foreseen by a helper").and(Statement::state(open));
            rules.push(counted(rule.when(Ct::Status, Test::Any(expected)), seal()));
        }
        let may_be_check = place != Place::Forward;
        if may_be_check {
            let checks = self.check_rules(View::Connection).into_iter();
            rules.extend(checks.map(|mut rule| {
                rule.statements.insert(0, Statement::state(open));
                rule
            }));
        }
        rules.extend(self.dispatch(place, Judged::Again(Direction::Original)));
        rules.extend(self.dispatch(place, Judged::Again(Direction::Reply)));
        rules.push(
            Rule::about("no rule")
                .and(Statement::state(open))
                .then(cut()),
        );
        if place == Place::Output {
            rules.extend(self.check_rules(View::Packet));
        }
        rules.extend(self.dispatch(place, Judged::Begins));
        rules.push(Rule::about("no rule").then(refused()));
    }

    fn invalid(&self) -> Option<Rule> {
        let invalid = Statement::state(ConnectionStates::INVALID);
        let rule = counted(Rule::about("invalid").and(invalid), Verdict::Drop);
        self.config.firewall.drop_invalid.then_some(rule)
    }

    /// To the chain of the two sides that the packet passes between.
    fn dispatch(&self, place: Place, judged: Judged) -> Option<Rule> {
        let is_reply = judged == Judged::Again(Direction::Reply);
        let mut entries = Vec::new();
        for pair in self.pairs() {
            let chain = match judged {
                Judged::Begins => self.chain_of(pair),
                Judged::Again(_) => self.chain_again(pair),
            };
            let (from, to) = if is_reply {
                (pair.to, pair.from)
            } else {
                (pair.from, pair.to)
            };
            for devices in self.passages(place, from, to) {
                entries.push((key(devices), Verdict::Goto(chain.clone())));
            }
        }
        if entries.is_empty() {
            return None;
        }
        let rule = Rule::about(judged.about());
        let rule = match judged {
            Judged::Begins => rule,
            Judged::Again(direction) => {
                let open = ConnectionStates::ESTABLISHED | ConnectionStates::RELATED;
                rule.and(Statement::state(open))
                    .when(Ct::Direction, Test::Is(Datum::Direction(direction)))
            }
        };
        Some(rule.and(Statement::Dispatch {
            key: place.key(),
            map: VerdictMap::These(entries),
        }))
    }

    /// By which devices packets pass from one side to another here: none where that is not here.
    fn passages(&self, place: Place, from: Side, to: Side) -> Vec<Vec<InterfaceName>> {
        let devices = |side| self.layout.side(side).into_iter();
        match (place, from, to) {
            (Place::Input, zone, Side::Box) | (Place::Output, Side::Box, zone) => {
                devices(zone).map(|device| vec![device]).collect()
            }
            (Place::Forward, from, to) => devices(from)
                .flat_map(|input| devices(to).map(move |output| vec![input, output]))
                .collect(),
            (Place::Input | Place::Output, ..) => Vec::new(),
        }
    }
}

/// Which connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judged {
    /// Those that begin.
    Begins,
    /// Those that began under other rules, by packets of this direction.
    Again(Direction),
}

impl Judged {
    const fn about(self) -> &'static str {
        match self {
            Self::Begins => "by zones",
            Self::Again(Direction::Original) => "anew, by zones",
            Self::Again(Direction::Reply) => "anew, answers, by zones",
        }
    }
}

impl Place {
    fn key(self) -> Vec<Selector> {
        match self {
            Self::Input => vec![Meta::InputName.into()],
            Self::Forward => vec![Meta::InputName.into(), Meta::OutputName.into()],
            Self::Output => vec![Meta::OutputName.into()],
        }
    }
}

fn key(devices: Vec<InterfaceName>) -> Element {
    let mut spans: Vec<Span> = devices
        .into_iter()
        .map(|name| Span::One(name.into()))
        .collect();
    match spans.pop() {
        Some(only) if spans.is_empty() => Key::One(only).into(),
        last => {
            spans.extend(last);
            Key::Several(spans).into()
        }
    }
}

/// What reads a protocol: the object's name, and over which transport.
fn readers(protocol: ConfigHelper) -> Vec<(&'static str, HelperProtocol, Field)> {
    let tcp = Field::Tcp(Tcp::DestinationPort);
    let udp = Field::Udp(Udp::DestinationPort);
    match protocol {
        ConfigHelper::Ftp => vec![("ftp", HelperProtocol::Ftp, tcp)],
        ConfigHelper::Sip => vec![
            ("sip.udp", HelperProtocol::SipUdp, udp),
            ("sip.tcp", HelperProtocol::SipTcp, tcp),
        ],
        ConfigHelper::Tftp => vec![("tftp", HelperProtocol::Tftp, udp)],
    }
}
