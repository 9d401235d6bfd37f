//! How much a pass has to look at.

use super::cause::Cause;

/// What is read anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Files, engine and kernel.
    Everything,
    /// The engine's containers, if what is known of the rest still stands.
    Containers,
}

impl Look {
    /// Decides: containers alone, when nothing else was heard of.
    pub(super) fn of<'a>(causes: impl IntoIterator<Item = &'a Cause>) -> Self {
        let mut causes = causes.into_iter().peekable();
        if causes.peek().is_some() && causes.all(is_of_containers) { Self::Containers } else { Self::Everything }
    }

    /// The word for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Everything => "full",
            Self::Containers => "containers",
        }
    }
}

fn is_of_containers(cause: &Cause) -> bool {
    let Cause::Event(event) = cause else { return false };
    match event.kind.as_str() {
        "container" => true,
        // Other events of networks tell of a bridge that comes or goes.
        "network" => matches!(event.action.as_str(), "connect" | "disconnect"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::Event;

    fn event(kind: &str, action: &str) -> Cause {
        Cause::Event(Event { kind: kind.to_owned(), action: action.to_owned(), about: "web".to_owned() })
    }

    #[test]
    fn containers_alone_only_when_nothing_else_was_heard_of() {
        let restart = [event("network", "disconnect"), event("container", "die"), event("container", "start")];
        assert_eq!(Look::of(&restart), Look::Containers);
        for other in [
            event("network", "create"),
            event("network", "destroy"),
            event("service", "update"),
            event("daemon", "reload"),
            event("unknown", "event"),
            Cause::Start,
            Cause::Reconnected,
            Cause::Rules,
            Cause::Links,
            Cause::Files,
            Cause::Asked,
            Cause::Tick,
            Cause::Lost(String::new()),
        ] {
            assert_eq!(Look::of(restart.iter().chain([&other])), Look::Everything, "{other}");
        }
        assert_eq!(Look::of(&[]), Look::Everything);
    }
}
