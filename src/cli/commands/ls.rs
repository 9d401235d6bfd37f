//! `ls`: every published port of every container, with who can reach it.

use std::net::IpAddr;

use serde_json::json;

use crate::access::{Access, Who, access, access_inside, beyond_reach, host_ports_pass, is_guarded, named_access};
use crate::access::{ports_named, rules_of, strangers_enter, strangers_pass, unforwarded};
use crate::cli::args::LsArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::format::Shape;
use crate::cli::report::count;
use crate::cli::session::{Need, Session};
use crate::cli::table::Table;
use crate::cli::text::{natural_order, printable, shorten};
use crate::inventory::{Container, Inventory, NetworkMode, Service};
use crate::net::Family;
use crate::policy::{Policy, Target};
use crate::resolve::{self, named_ports, network_owner, selects};
use crate::ruleset::Dump;

mod services;

/// Longest cell of the table unless `--no-trunc`.
const CELL: usize = 50;

struct Row {
    container: String,
    published: String,
    port: String,
    access: String,
    rules: Vec<usize>,
    managed: bool,
}

/// Runs it. Without privileges it reads the policy only, and says so.
pub fn run(ctx: &mut Context, args: LsArgs) -> Result<Exit, Failure> {
    args.filters.only(&["container", "managed"])?;
    args.filters.only_yes_or_no("managed")?;
    let privileged = Session::is_privileged();
    let mut session = if privileged { Session::open(ctx, Need::Engine)? } else { Session::look(ctx, Need::Engine)? };
    let differing = if privileged { differing(ctx, &mut session)? } else { None };
    let policy = session.policy().clone();
    let inventory = session.containers()?;
    let known = session.services(inventory);
    let is_meant = |service: &Service| services::is_meant(&args.targets, service, inventory);
    let meant_services: Vec<Service> = known.iter().filter(|service| is_meant(service)).cloned().collect();
    let meant = meant(&args.targets, inventory, &known)?;
    let mut rows = rows(&policy, inventory, &meant, &session, differing.as_ref());
    rows.extend(services::rows(&policy, inventory, &meant_services, session.now, differing.as_ref()));
    rows.extend(services::unknown(&policy, inventory, &known, &is_meant));
    rows.retain(|row| {
        args.filters.pass(|key, value| match key {
            "container" => row.container == value,
            _ => (value == "true") == row.managed,
        })
    });
    print(ctx, &args, &rows)?;
    if !privileged {
        ctx.output.note("note: read from the policy, not from the kernel, which needs CAP_NET_ADMIN (sudo)");
    }
    Ok(Exit::Success)
}

/// The kernel's state when it does not hold what the policy says; says so.
fn differing(ctx: &mut Context, session: &mut Session) -> Result<Option<Dump>, Failure> {
    let state = session.state()?;
    let config = session.config().clone();
    let changes = session.differences(&config)?.len();
    if changes == 0 {
        return Ok(None);
    }
    ctx.output.note(&format!(
        "warning: the kernel differs from the policy in {}: `{} plan` shows the difference, `{} apply` mends it",
        count(changes, "line", "lines"),
        ctx.program,
        ctx.program
    ));
    Ok(Some(state))
}

fn meant<'a>(targets: &[Target], inventory: &'a Inventory, known: &[Service]) -> Result<Vec<&'a Container>, Failure> {
    for target in targets {
        let is_service = || known.iter().any(|service| resolve::selects_service(target, service, inventory));
        if !inventory.containers.iter().any(|container| selects(target, container, inventory)) && !is_service() {
            return Err(Failure::user(format!("no container is meant by {}", printable(&target.to_string())))
                .hinted("`docker ps -a` lists containers"));
        }
    }
    let mut meant: Vec<&Container> = inventory
        .containers
        .iter()
        .filter(|container| targets.is_empty() || targets.iter().any(|target| selects(target, container, inventory)))
        .collect();
    meant.sort_by(|a, b| natural_order(&a.name, &b.name));
    Ok(meant)
}

fn rows(
    policy: &Policy,
    inventory: &Inventory,
    meant: &[&Container],
    session: &Session,
    differing: Option<&Dump>,
) -> Vec<Row> {
    let mut rows = Vec::new();
    for container in meant {
        let rules: Vec<usize> = rules_of(policy, inventory, container).into_iter().map(|(number, _)| number).collect();
        let managed = if container.mode == NetworkMode::Host {
            !named_ports(policy, inventory, container).is_empty()
        } else {
            (is_guarded(policy, inventory, container) || !rules.is_empty())
                && beyond_reach(inventory, container).is_none()
        };
        let row = |published: String, port: String, access: String, rules: Vec<usize>| Row {
            container: container.name.clone(),
            published,
            port,
            access,
            rules,
            managed,
        };
        if !container.running {
            if managed {
                rows.push(row(String::new(), String::new(), "nobody (stopped)".to_owned(), rules));
            }
            continue;
        }
        if container.mode == NetworkMode::Host {
            rows.extend(host_rows(policy, inventory, container, session, differing));
            continue;
        }
        if let NetworkMode::Container(other) = &container.mode {
            rows.push(if let Some(owner) = network_owner(inventory, container) {
                let from = if owner.running { format!("as {}", owner.name) } else { "nobody (stopped)".to_owned() };
                row(format!("network of {}", owner.name), String::new(), from, rules)
            } else {
                let gone = format!("network of {}", other.chars().take(12).collect::<String>());
                Row { managed: false, ..row(gone, String::new(), "nobody (that container is gone)".to_owned(), vec![]) }
            });
            continue;
        }
        for network in unforwarded(inventory, container) {
            let place = format!("{} {}", network.driver, network.name);
            rows.push(Row {
                managed: false,
                ..row(place, String::new(), "everyone (not guarded)".to_owned(), rules.clone())
            });
        }
        let wires = wires(policy, container, session, inventory, differing.is_some());
        if container.bindings.is_empty() && managed && wires.is_empty() {
            rows.push(row(String::new(), String::new(), "no published port".to_owned(), rules.clone()));
        }
        rows.extend(wires.into_iter().map(|(place, port, text, rules)| row(place, port, text, rules)));
        let mut bindings = container.bindings.clone();
        bindings
            .sort_by_key(|binding| (binding.container_port, binding.protocol, binding.host_address, binding.host_port));
        for binding in &bindings {
            let known = access(policy, inventory, container, binding, session.now);
            let open = differing.map(|state| strangers_pass(state, inventory, container, binding));
            let text = spoken(&known, open);
            let host = match binding.host_address {
                IpAddr::V4(v4) => v4.to_string(),
                IpAddr::V6(v6) => format!("[{v6}]"),
            };
            let published = binding.host_port.map_or_else(|| format!("{host}:?"), |port| format!("{host}:{port}"));
            let port = format!("{}/{}", binding.container_port, binding.protocol);
            rows.push(row(published, port, text, known.rules));
        }
    }
    rows
}

/// Place, ports, access and rules of a container's addresses on networks whose packets come right to it, past the host.
fn wires(
    policy: &Policy,
    container: &Container,
    session: &Session,
    inventory: &Inventory,
    differing: bool,
) -> Vec<(String, String, String, Vec<usize>)> {
    let inside = session.sandboxes().iter().find(|sandbox| sandbox.id == container.id);
    let mut ports: Vec<_> = ports_named(policy, inventory, container).into_iter().map(Some).collect();
    let rest = if ports.is_empty() { "all" } else { "all others" };
    ports.push(None);
    let mut rows = Vec::new();
    for (endpoint, network) in inventory.sandboxed(container) {
        for own in Family::ALL.into_iter().filter_map(|family| endpoint.address(family)) {
            let place = format!("{} {} {own}", network.driver, network.name);
            for range in &ports {
                let known =
                    access_inside(policy, inventory, container, (network, Family::of(&own)), *range, session.now);
                let first = range.map(|range| (range.protocol, range.first));
                let open = || inside.is_none_or(|inside| strangers_enter(&inside.state, own, first));
                let port = range.map_or_else(|| rest.to_owned(), |range| range.to_string());
                rows.push((place.clone(), port, spoken(&known, differing.then(open)), known.rules));
            }
        }
    }
    rows
}

/// A container on the host's network: the ports that rules name, and what is true of all others.
fn host_rows(
    policy: &Policy,
    inventory: &Inventory,
    container: &Container,
    session: &Session,
    differing: Option<&Dump>,
) -> Vec<Row> {
    let named = named_ports(policy, inventory, container);
    let row = |published: String, port: &str, access: String, rules: Vec<usize>, managed: bool| Row {
        container: container.name.clone(),
        published,
        port: port.to_owned(),
        access,
        rules,
        managed,
    };
    let mut rows = Vec::new();
    for ports in &named {
        let port = ports.range.to_string();
        let number = port.split('/').next().unwrap_or_default();
        for (family, host) in [(Family::V4, "0.0.0.0"), (Family::V6, "[::]")] {
            let known = named_access(policy, ports, family, session.now);
            let open = differing.map(|state| host_ports_pass(state, family, ports.range));
            rows.push(row(format!("host {host}:{number}"), &port, spoken(&known, open), known.rules, true));
        }
    }
    let others = if named.is_empty() { "" } else { "all others" };
    rows.push(row("host network".to_owned(), others, "everyone (not guarded)".to_owned(), Vec::new(), false));
    rows
}

/// Never less than what is open. `open` is what the kernel does to strangers, when it differs from the policy.
fn spoken(access: &Access, open: Option<bool>) -> String {
    match (&access.who, open) {
        (Who::HostOnly, _) | (_, None) => access.to_string(),
        (_, Some(true)) => "everyone".to_owned(),
        (_, Some(false)) => format!("unknown (the policy says: {access})"),
    }
}

fn print(ctx: &mut Context, args: &LsArgs, rows: &[Row]) -> Result<(), Failure> {
    let list = |rules: &[usize]| rules.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    match args.style.shape() {
        Shape::Names => {
            let mut names: Vec<&String> = rows.iter().map(|row| &row.container).collect();
            names.dedup();
            for name in names {
                ctx.output.line(&printable(name));
            }
        }
        Shape::Json => {
            for row in rows {
                ctx.output.json_line(&json!({
                    "Container": row.container, "Published": row.published, "Port": row.port, "From": row.access,
                    "Rules": list(&row.rules), "Managed": row.managed.to_string(),
                }))?;
            }
        }
        Shape::Table => {
            let mut table = Table::new(&["CONTAINER", "PUBLISHED", "PORT", "FROM", "RULES", "MANAGED"]);
            for row in rows {
                let from =
                    if args.style.no_trunc { row.access.clone() } else { shorten(&row.access, CELL).into_owned() };
                let managed = if row.managed { "yes" } else { "no" };
                table.row([
                    row.container.clone(),
                    row.published.clone(),
                    row.port.clone(),
                    from,
                    list(&row.rules),
                    managed.to_owned(),
                ]);
            }
            ctx.output.table(&table);
        }
    }
    Ok(())
}
