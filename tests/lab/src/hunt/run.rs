//! The hunt: every event a number of times, or any of them for some minutes; then the same without what is tried.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use super::errand::Errand;
use super::event::{Closed, EVENTS, Event};
use super::friend::{Friend, PATIENCE, Service};
use super::report::{Report, Row};
use super::stranger::Stranger;
use super::world::{STANDING, World};
use crate::LabError;

/// How long the friend may be kept out before that counts as for good: more than two ticks of the agent.
const LIMIT: Duration = Duration::from_secs(30);
/// For a last look of the stranger's at what an event left.
const REST: Duration = Duration::from_millis(150);
/// As often a control event is tried until it leaks.
const CONTROLS: usize = 4;
/// As long each time it may take: a host that looked for an address in vain asks for it again only after a second, and
/// engines before 27 do not tell it that a container has it now.
const CONTROL_WAIT: Duration = Duration::from_millis(1500);

/// Does it all; tells one line an event.
pub fn run(errand: &Errand, tell: &mut dyn FnMut(&str)) -> Result<Report, LabError> {
    let mut report = Report { title: errand.title(), seed: errand.seed, ..Report::default() };
    if !errand.only_control {
        let mut hunt = Hunt::begin(errand, true)?;
        let events = hunt.events(errand);
        match errand.soak {
            None => {
                for event in events {
                    for _ in 0..errand.times {
                        hunt.provoke(event)?;
                    }
                    tell(&hunt.line(event));
                }
            }
            Some(span) => {
                let end = Instant::now() + span;
                let mut random = errand.seed;
                while Instant::now() < end {
                    let event = events[next(&mut random) % events.len()];
                    hunt.provoke(event)?;
                    let left = end.saturating_duration_since(Instant::now()).as_secs();
                    tell(&format!("{left:>5} s left: {}", hunt.line(event)));
                }
            }
        }
        hunt.end(&mut report)?;
    }
    if !errand.no_control {
        let mut hunt = Hunt::begin(errand, false)?;
        for event in hunt.events(errand).into_iter().filter(|event| event.control) {
            let mut leaks = 0;
            for _ in 0..CONTROLS {
                hunt.provoke(event)?;
                leaks = hunt.stranger.seen(|seen| seen.leaks_of(event.name));
                if leaks > 0 {
                    break;
                }
            }
            tell(&format!("without agent and backstop, {}: {leaks} leaks", event.name));
            report.controls.insert(event.name, leaks);
        }
        hunt.end_control()?;
    }
    Ok(report)
}

/// The next number of a row that a seed begins (xorshift64).
fn next(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    usize::try_from(*state >> 16).unwrap_or_default()
}

struct Hunt {
    world: World,
    stranger: Stranger,
    friend: Friend,
    rows: BTreeMap<&'static str, Row>,
}

impl Hunt {
    fn begin(errand: &Errand, agent: bool) -> Result<Self, LabError> {
        let mut world = World::make(errand.spec.clone(), &errand.plugin, agent)?;
        world.read_record()?;
        let stranger = Stranger::start(&world.lab, world.ways()?);
        let friend = Friend::start(&world.lab, World::services());
        thread::sleep(REST + PATIENCE);
        Ok(Self { world, stranger, friend, rows: BTreeMap::new() })
    }

    fn events(&self, errand: &Errand) -> Vec<&'static Event> {
        let wanted = |event: &&Event| {
            let named = errand.events.is_empty() || errand.events.iter().any(|name| name == event.name);
            named && event.needs.iter().all(|what| self.world.has(*what))
        };
        EVENTS.iter().filter(wanted).collect()
    }

    fn line(&self, event: &Event) -> String {
        let leaks: usize =
            self.stranger.seen(|seen| Row::stages(event.name).iter().map(|stage| seen.leaks_of(stage)).sum());
        format!("{}; {leaks} leaks", self.rows[event.name].line())
    }

    /// Lets it happen once, and puts the world back.
    fn provoke(&mut self, event: &'static Event) -> Result<(), LabError> {
        if !event.before.is_empty() {
            self.stranger.during(&format!("{} (before)", event.name));
            self.world.script(event.before)?;
            self.everybody_served(&[], Instant::now())?;
        }
        self.friend.forget();
        self.stranger.during(event.name);
        let begun = Instant::now();
        self.world.script(event.act)?;
        let mut mended = Duration::ZERO;
        if !event.mended.is_empty() && self.world.agent {
            self.mended(event.mended)?;
            mended = begun.elapsed();
        }
        let row = self.rows.entry(event.name).or_insert_with(|| Row::new(event.name));
        row.times += 1;
        match (self.world.agent, event.closed) {
            (true, Closed::Everywhere) => thread::sleep(PATIENCE),
            (true, _) => self.measure(event, begun, mended)?,
            (false, _) => self.wait_for_leak(event.name),
        }
        thread::sleep(REST);
        self.read_record(event.name)?;
        if !event.after.is_empty() {
            self.stranger.during(&format!("{} (after)", event.name));
            self.world.script(event.after)?;
        }
        if self.world.agent {
            self.everybody_served(&[], Instant::now())?;
        } else {
            self.world.script("docker-firewall apply; unhook")?;
        }
        thread::sleep(REST);
        self.read_record(&format!("{} (after)", event.name))?;
        self.stranger.during("nothing");
        Ok(())
    }

    /// Waits until a look of the shell's sees what was broken whole again.
    fn mended(&self, look: &str) -> Result<(), LabError> {
        match self.world.script(&format!("look() {{ {look}; }}; until_true look")) {
            Ok(_) => Ok(()),
            Err(error) => Err(LabError::NoContainer { name: error.to_string(), log: self.state()? }),
        }
    }

    /// For whoever has to find out why something did not come back.
    fn state(&self) -> Result<String, LabError> {
        let look = "tail -n 20 $LOG; docker ps -a; ip neigh; ipset save; iptables-save; ip6tables-save
                    tail -n 5 /run/dockerd.log || true";
        self.world.script(look)
    }

    /// Waits until something got through.
    fn wait_for_leak(&self, stage: &str) {
        let end = Instant::now() + CONTROL_WAIT;
        while Instant::now() < end && self.stranger.seen(|seen| seen.leaks_of(stage)) == 0 {
            thread::sleep(PATIENCE);
        }
    }

    /// Waits until the friend is served again, and writes down what that took.
    fn measure(&mut self, event: &'static Event, begun: Instant, mended: Duration) -> Result<(), LabError> {
        let end = Instant::now() + LIMIT;
        let services = loop {
            thread::sleep(PATIENCE);
            self.read_record(event.name)?;
            let services = self.services(event, begun);
            if services.iter().all(|(_, service)| service.mended.is_some()) || Instant::now() > end {
                break services;
            }
        };
        let row = self.rows.entry(event.name).or_insert_with(|| Row::new(event.name));
        let mut repair = mended;
        for (port, service) in services {
            row.tries += service.tries;
            row.refused += service.refused;
            if service.longest > row.longest {
                row.longest = service.longest;
                row.worst = format!(" ({port})");
            }
            match service.mended {
                Some(took) => repair = repair.max(took),
                None => row.stuck.push(port),
            }
        }
        row.repairs.push(repair);
        Ok(())
    }

    /// How each port that counts was served since the event, or since its container was up.
    fn services(&self, event: &Event, begun: Instant) -> Vec<(String, Service)> {
        let mut services = Vec::new();
        for (index, target) in self.friend.targets().iter().enumerate() {
            let comes = event.down.contains(&target.peer);
            let spared = event.closed == Closed::Proxied && World::is_proxied(target);
            if spared || !(comes || STANDING.contains(&target.peer)) {
                continue;
            }
            let since = if comes { self.world.up_since(target.peer, begun) } else { Some(begun) };
            let service = since.map_or_else(Service::default, |since| self.friend.served(index, since));
            services.push((format!("{} at {}", target.peer, target.label()), service));
        }
        services
    }

    /// Waits until all that is always there serves the friend; after that the next thing can happen.
    fn everybody_served(&mut self, down: &[&str], since: Instant) -> Result<(), LabError> {
        let end = Instant::now() + LIMIT;
        loop {
            thread::sleep(Duration::from_millis(50));
            let look = Instant::now().checked_sub(Duration::from_millis(50)).unwrap_or(since);
            let waiting: Vec<String> = self
                .friend
                .targets()
                .iter()
                .enumerate()
                .filter(|(_, target)| STANDING.contains(&target.peer) && !down.contains(&target.peer))
                .filter(|(index, _)| self.friend.served(*index, look).mended.is_none())
                .map(|(_, target)| format!("{} at {}", target.peer, target.label()))
                .collect();
            if waiting.is_empty() {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(LabError::NoContainer { name: waiting.join(", "), log: self.state()? });
            }
        }
    }

    fn read_record(&mut self, stage: &str) -> Result<(), LabError> {
        for what in self.world.read_record()? {
            let what = what.split('-').next().unwrap_or(&what).to_owned();
            self.stranger.seen(|seen| seen.leak(stage, format!("{what}'s words"), Duration::ZERO));
        }
        Ok(())
    }

    fn end(self, report: &mut Report) -> Result<(), LabError> {
        let Self { world, stranger, friend, rows } = self;
        let seen = stranger.end()?;
        friend.end()?;
        report.rows = rows.into_values().collect();
        report.looked(seen);
        report.log = world.script("cat $LOG")?;
        Ok(())
    }

    fn end_control(self) -> Result<(), LabError> {
        self.stranger.end()?;
        self.friend.end()
    }
}
