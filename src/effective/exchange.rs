//! What follows a first packet of TCP, and without which nobody has got through: the answer, and what is sent then.

use std::net::IpAddr;

use super::journey::{Course, FILTERS, FORWARD, INPUT, OUTPUT, Onward, POSTROUTING, PREROUTING};
use super::passage::Cause;
use super::segment::{Link, Segment, Tracking};
use super::walk::Verdict;
use crate::net::Protocol;

impl Course<'_> {
    /// TCP opens nothing unless the answer comes back and is confirmed; a datagram has done its work by then.
    /// `behind`: an answer that comes in over a link comes to this address, until it is rewritten back.
    pub(super) fn answered(&mut self, segment: &Segment, hook: &'static str, behind: Option<IpAddr>) -> Onward {
        if segment.protocol == Protocol::Udp {
            return Ok(());
        }
        // What lets the first packet in is what people ask for.
        let passed = self.passed.clone();
        let result = self.answer(segment, hook, behind).and_then(|answer| self.confirmed(segment, hook, &answer));
        self.passed = passed;
        result
    }

    fn answer(&mut self, segment: &Segment, hook: &'static str, behind: Option<IpAddr>) -> Result<Segment, Cause> {
        let mut answer = segment.answer();
        self.turn(|| format!("its answer, from {}", answer.source));
        if hook != INPUT {
            answer.out_link = self.way_back(segment)?;
        }
        if let Some(behind) = behind {
            let out = std::mem::replace(&mut answer.out_link, Link::Absent);
            let client = std::mem::replace(&mut answer.destination, behind);
            self.raw(PREROUTING, &mut answer)?;
            self.translated_back(segment, &answer)?;
            self.table("mangle", PREROUTING, &mut answer)?;
            answer.out_link = out;
            answer.destination = client;
        } else {
            self.raw(hook, &mut answer)?;
            self.translated_back(segment, &answer)?;
        }
        self.hook(&FILTERS, hook, &mut answer)?;
        self.keeps_its_name(hook, &answer);
        if hook != INPUT {
            self.table("mangle", POSTROUTING, &mut answer)?;
        }
        Ok(answer)
    }

    /// Answers go where their routes lead, which need not be where the call came in.
    fn way_back(&self, segment: &Segment) -> Result<Link, Cause> {
        let (host, client) = (self.kernel.host, &segment.source);
        let on_link = matches!(client, IpAddr::V6(v6) if v6.is_unicast_link_local());
        if on_link || host.routes.is_empty() {
            return Ok(segment.in_link.clone());
        }
        match host.device(client) {
            Some(device) => Ok(Link::Named(device.to_owned())),
            None => Err(Cause::Host(format!("no route leads back to {client}"))),
        }
    }

    /// What the caller sends once it has an answer, without which it is none: it comes as the first packet came, and rules
    /// that let only first packets in stop it. `hook`: where the answer went.
    fn confirmed(&mut self, segment: &Segment, hook: &'static str, answer: &Segment) -> Onward {
        let mut next = segment.next(answer);
        let came = match hook {
            FORWARD => FORWARD,
            OUTPUT => INPUT,
            _ => OUTPUT,
        };
        self.turn(|| format!("what {} sends then", next.source));
        let before = if came == OUTPUT { OUTPUT } else { PREROUTING };
        self.raw(before, &mut next)?;
        self.translated_back(segment, &next)?;
        self.table("mangle", before, &mut next)?;
        (next.destination, next.destination_port) = (segment.destination, segment.destination_port);
        next.out_link = segment.out_link.clone();
        self.keeps_its_name(came, &next);
        // `mangle` of OUTPUT is behind it.
        self.hook(if came == OUTPUT { &FILTERS[1..] } else { &FILTERS }, came, &mut next)?;
        if came == INPUT { Ok(()) } else { self.table("mangle", POSTROUTING, &mut next) }
    }

    /// Seen in the lab: what comes after an answer that the tracker knows nothing of, it takes for a new connection, which
    /// `nat` may send on under another address, and the client does not know it.
    fn keeps_its_name(&mut self, hook: &'static str, answer: &Segment) {
        if answer.tracking != Tracking::Unknown {
            return;
        }
        let rewriting = match hook {
            FORWARD => [PREROUTING, POSTROUTING],
            OUTPUT => [OUTPUT, POSTROUTING],
            _ => [PREROUTING, INPUT],
        };
        for hook in rewriting {
            let endings = self.walk("nat", hook, &mut answer.clone());
            let rewritten = endings.into_iter().find(|ending| !matches!(ending.verdict, Verdict::Pass | Verdict::Drop));
            if let Some(ending) = rewritten {
                self.doubt.get_or_insert(ending.cause);
            }
        }
    }

    /// What belongs to a rewritten connection is rewritten too only if the tracker knows it.
    fn translated_back(&mut self, segment: &Segment, answer: &Segment) -> Onward {
        if !segment.translated || matches!(answer.tracking, Tracking::Answer | Tracking::Later) {
            return Ok(());
        }
        let cause =
            Cause::Host("the tracker looks away from some of its packets, so they are not rewritten".to_owned());
        if answer.tracking == Tracking::Untracked {
            return Err(cause);
        }
        self.doubt.get_or_insert(cause);
        Ok(())
    }
}
