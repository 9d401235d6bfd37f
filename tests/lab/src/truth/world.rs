//! A scene, running: the containers of the table and whoever tries to reach them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use super::foreign::FORWARDED;
use super::scenes::Scene;
use super::script::Step;
use super::target::Target;
use crate::{Client, Lab, LabError};

/// Where an attempt comes from.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Its name in the table.
    pub(crate) name: String,
    /// Its network namespace.
    pub(crate) place: PathBuf,
    /// The neighbour it is; `None` for the host and for containers, which no rule speaks of.
    pub(crate) outside: Option<Client>,
}

/// All of it.
#[derive(Debug)]
pub(crate) struct World<'a> {
    /// The lab it runs in.
    pub(crate) lab: &'a Lab,
    pub(crate) scene: &'static Scene,
    /// Who is tried to be reached.
    pub(crate) targets: Vec<&'static Target>,
    /// The neighbours, the host, the calling containers.
    pub(crate) callers: Vec<Caller>,
    /// The targets as callers.
    pub(crate) inner: Vec<Caller>,
    /// The host's link-local address.
    pub(crate) link_local: IpAddr,
    ids: BTreeMap<&'static str, String>,
    addresses: BTreeMap<(&'static str, &'static str), Vec<IpAddr>>,
}

impl<'a> World<'a> {
    /// Starts it.
    pub(crate) fn start(lab: &'a Lab, scene: &'static Scene) -> Result<Self, LabError> {
        let engine = lab.spec().engine;
        for network in scene.networks(engine) {
            network.create(lab)?;
        }
        for client in [Client::Friend, Client::Stranger] {
            lab.serve_as(client, &["tcp=7000", "udp=7000"])?;
        }
        let mut world = Self {
            lab,
            scene,
            targets: scene.targets(engine).collect(),
            callers: Vec::new(),
            inner: Vec::new(),
            link_local: lab.link_local(Client::Host)?,
            ids: BTreeMap::new(),
            addresses: BTreeMap::new(),
        };
        for target in world.targets.clone() {
            world.raise(target)?;
        }
        world.callers.extend([Client::Friend, Client::Stranger, Client::Host].into_iter().map(|client| Caller {
            name: client.to_string(),
            place: lab.place(client),
            outside: (client != Client::Host).then_some(client),
        }));
        for (name, networks) in scene.callers {
            let mut networks = networks.iter().filter(|name| scene.network(name).since <= engine);
            let first = networks.next().copied().unwrap_or("none");
            lab.run(name, &["--network", first], &[])?;
            for network in networks {
                lab.docker(&["network", "connect", network, name])?.require("docker network connect")?;
            }
            let caller = Caller { name: (*name).to_owned(), place: lab.inside(name)?, outside: None };
            world.callers.push(caller);
        }
        world.look_around()?;
        Ok(world)
    }

    /// Starts one target as it is described.
    fn raise(&mut self, target: &'static Target) -> Result<(), LabError> {
        let (args, services) = (target.docker_args(), target.services());
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let services: Vec<&str> = services.iter().map(String::as_str).collect();
        self.lab.run(target.name, &args, &services)?;
        for network in target.networks.iter().skip(1) {
            self.lab.docker(&["network", "connect", network, target.name])?.require("docker network connect")?;
        }
        let id = self.lab.docker(&["inspect", "--format", "{{.Id}}", target.name])?.require("docker inspect")?;
        self.ids.insert(target.name, id);
        Ok(())
    }

    /// Reads anew where the targets are, whatever they are called by now.
    pub(crate) fn look_around(&mut self) -> Result<(), LabError> {
        const TEMPLATE: &str =
            "{{range $n, $e := .NetworkSettings.Networks}}{{$n}} {{$e.IPAddress}} {{$e.GlobalIPv6Address}}\n{{end}}";
        self.inner.clear();
        self.addresses.clear();
        for target in &self.targets {
            let id = &self.ids[target.name];
            let place = self.lab.inside(id)?;
            self.inner.push(Caller { name: target.name.to_owned(), place, outside: None });
            let text = self.lab.docker(&["inspect", "--format", TEMPLATE, id])?.require("docker inspect")?;
            for line in text.lines() {
                let mut words = line.split(' ');
                let network = self.scene.network_name(words.next().unwrap_or_default());
                let addresses = words.filter_map(|word| word.parse().ok()).collect();
                self.addresses.extend(network.map(|network| ((target.name, network), addresses)));
            }
        }
        Ok(())
    }

    /// Does what changes it; says what went wrong.
    pub(crate) fn change(&mut self, step: &Step<'_>) -> Result<Option<String>, LabError> {
        match step {
            Step::Docker(words) => {
                let output = self.lab.docker(&words.split_whitespace().collect::<Vec<_>>())?;
                Ok((!output.success()).then(|| format!("docker {words}: {}", output.said())))
            }
            Step::Recreate(name) => {
                let target = self.targets.iter().copied().find(|target| target.name == *name);
                let Some(target) = target else { return Ok(Some(format!("recreate {name}: no such target"))) };
                self.fell(target)?;
                self.raise(target).map(|()| None)
            }
            Step::Firewall(_) | Step::Refused(_) => Ok(None),
        }
    }

    /// Removes every target, whatever became of it, and starts them as they are described.
    pub(crate) fn raise_again(&mut self) -> Result<(), LabError> {
        for target in self.targets.clone() {
            self.fell(target)?;
        }
        for target in self.targets.clone() {
            self.raise(target)?;
        }
        Ok(())
    }

    fn fell(&self, target: &Target) -> Result<(), LabError> {
        self.lab.docker(&["rm", "--force", &self.ids[target.name]])?.require("docker rm").map(drop)
    }

    /// The names of the targets that `ALL` stands for.
    pub(crate) fn managed(&self) -> String {
        let managed = self.targets.iter().filter(|target| target.managed).map(|target| target.name);
        managed.collect::<Vec<_>>().join(" ")
    }

    /// Where the administrator's own forwarding leads, if the scene has that container.
    pub(crate) fn forwarded(&self) -> Option<IpAddr> {
        let (name, _, inner) = FORWARDED;
        let target = self
            .targets
            .iter()
            .find(|target| target.name == name && target.tried.iter().any(|(_, port)| *port == inner))?;
        self.addresses(target).map(|(_, address)| address).find(IpAddr::is_ipv4)
    }

    /// A target's full ID, whatever it is called by now.
    pub(crate) fn id(&self, target: &Target) -> &str {
        &self.ids[target.name]
    }

    /// The address of `like`'s family of a calling container that is on one network only, one of the engine's bridges.
    pub(crate) fn only_address(&self, caller: &Caller, like: IpAddr) -> Result<Option<IpAddr>, LabError> {
        let Some((name, networks)) = self.scene.callers.iter().find(|(name, _)| *name == caller.name) else {
            return Ok(None);
        };
        let [network] = networks else { return Ok(None) };
        let network = self.scene.network(network);
        if network.on_the_link || network.since > self.lab.spec().engine {
            return Ok(None);
        }
        let own = self.lab.addresses(name, network.name)?;
        Ok(if like.is_ipv4() { own.v4 } else { own.v6 })
    }

    /// The addresses that a target has, each with its network.
    pub(crate) fn addresses(&self, target: &Target) -> impl Iterator<Item = (&'static str, IpAddr)> {
        let own = self.addresses.iter().filter(|((name, _), _)| *name == target.name);
        own.flat_map(|((_, network), addresses)| addresses.iter().map(|address| (*network, *address)))
    }
}
