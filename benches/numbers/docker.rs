//! Commands as people type them, through the client of a real engine: run inside a lab by `benches/run.sh`, which puts this
//! program and the plugin there. This program is also the plugin that does nothing.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Result;
use crate::commands::RECIPE_SET;
use crate::figure::{Bound, Figure};
use crate::process::{timed, typed};
use crate::wires::run;

/// The headings of its tables.
const ALLOW: &str = "a real engine, one container: beside the recipe's three commands";
const HELP: &str = "docker's help, with the plugin installed beside without";

/// The plugin that does nothing.
pub(crate) const NOTHING: &str = "docker-nothing";
/// Where a lab has them.
const PLUGINS: &str = "/root/.docker/cli-plugins";
const OURS: &str = "docker-firewall";

/// What docker asks of a plugin; everything else is done by doing nothing.
pub(crate) fn do_nothing() {
    if std::env::args().nth(1).as_deref() == Some("docker-cli-plugin-metadata") {
        println!(r#"{{"SchemaVersion":"0.1.0","Vendor":"benches","Version":"0","ShortDescription":"Does nothing"}}"#);
    }
}

/// What is typed by hand: `SET` is the recipe's file.
const RECIPE: [&str; 3] = [
    "ipset restore < /tmp/recipe.conf",
    "iptables -I DOCKER -i br-ext -m set ! --match-set recipe src -j DROP",
    "iptables -I DOCKER -i br-ext -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
];

/// What is timed beside it, and what undoes it.
const ROWS: [(&str, &str, Bound); 4] = [
    ("docker firewall allow web --from ipfriends", "docker firewall rm 1", Bound::AtMost(1.0)),
    ("docker-firewall allow web --from ipfriends", "docker firewall rm 1", Bound::None),
    ("docker nothing", "", Bound::None),
    ("docker version", "", Bound::None),
];

pub(crate) fn measure(quick: bool) -> Result<Vec<Figure>> {
    let plugins = Path::new(PLUGINS);
    if !plugins.join(OURS).exists() || run(&["docker", "inspect", "web"], "").is_err() {
        return Err("this part is run by benches/run.sh, in a lab with the plugin and a container 'web'".into());
    }
    let nothing = plugins.join(NOTHING);
    let figures = beside(&nothing, if quick { 15 } else { 61 });
    let _ = fs::remove_file(nothing);
    figures
}

fn beside(nothing: &Path, rounds: usize) -> Result<Vec<Figure>> {
    fs::copy(std::env::current_exe()?, nothing)?;
    fs::write("/tmp/recipe.conf", RECIPE_SET)?;
    run(&["docker", "firewall", "set", "create", "ipfriends"], "")?;
    run(&["docker", "firewall", "set", "add", "ipfriends", "203.0.113.10", "203.0.113.11", "203.0.113.12"], "")?;
    let mut values = vec![Vec::new(); ROWS.len()];
    let (mut base, mut with, mut without) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        eprint!("\rengine: round {} of {rounds}", round + 1);
        base.push(typed(&RECIPE)?);
        typed(&["iptables -D DOCKER 1", "iptables -D DOCKER 1", "ipset destroy recipe"])?;
        for ((line, undo, _), values) in ROWS.iter().zip(&mut values) {
            values.push(typed(&[line])?);
            if !undo.is_empty() {
                typed(&[undo])?;
            }
        }
        with.push(help()?);
        without.push(help_without()?);
    }
    eprintln!();
    let mut figures: Vec<Figure> = ROWS
        .iter()
        .zip(&values)
        .map(|((line, _, bound), values)| {
            Figure::paired([ALLOW, line, "beside the recipe"], "ms", values, &base, *bound)
        })
        .collect();
    figures.push(Figure::paired([HELP, "docker --help", "beside none"], "ms", &with, &without, Bound::None));
    Ok(figures)
}

fn help() -> Result<f64> {
    timed(Command::new("docker").arg("--help").stdin(Stdio::null()).stdout(Stdio::null()))
}

/// The same while our plugin lies elsewhere.
fn help_without() -> Result<f64> {
    let (ours, aside) = (Path::new(PLUGINS).join(OURS), Path::new(PLUGINS).join("aside"));
    fs::rename(&ours, &aside)?;
    let time = help();
    fs::rename(&aside, &ours)?;
    time
}
