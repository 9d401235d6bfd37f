//! `ls` beside the kernel: what others' rules open and close, and what of ours is missing, is listed as it is.
//!
//! Needs root and the engines of `tests/engines.sh`: `cargo test -p docker-firewall-lab -- --ignored`.

mod desk;

use desk::{Desk, Result};
use lab::Client;

on_both_ends!(all_of_it, "listed");

const TEMPLATE: &str = "{{.Path}}|{{.From}}|{{.Policy}}|{{.Differs}}|{{.Exposed}}|{{.Because}}";

/// What is said of the published port over IPv4.
struct Row {
    from: String,
    policy: String,
    differs: bool,
    exposed: String,
    because: String,
    remarks: String,
}

fn row(desk: &Desk) -> Result<Row> {
    let output = desk.words(&["ls", "web", "--format", &format!("{{{{.Published}}}}|{TEMPLATE}")])?;
    assert_eq!(output.code, 0, "{output:?}");
    let line = output.stdout.lines().find(|line| line.starts_with("0.0.0.0:8080|")).expect("a row");
    let mut cells = line.splitn(7, '|').skip(2).map(str::to_owned);
    let mut cell = || cells.next().expect("a cell");
    let (from, policy) = (cell(), cell());
    Ok(Row { from, policy, differs: cell() == "true", exposed: cell(), because: cell(), remarks: output.stderr })
}

/// What is listed, and who gets in: friend, stranger.
fn is(desk: &Desk, from: &str, exposed: &str, open: [bool; 2]) -> Result<Row> {
    let row = row(desk)?;
    assert_eq!((row.from.as_str(), row.exposed.as_str()), (from, exposed), "{}", row.remarks);
    assert_eq!(row.policy, "ipfriends");
    assert_eq!(row.differs, from != "ipfriends", "{}", row.remarks);
    assert_eq!(row.remarks.contains("not what the policy says"), row.differs, "{}", row.remarks);
    for (client, open) in [Client::Friend, Client::Stranger].into_iter().zip(open) {
        let reached = desk.reaches(client, Client::Host.v4(), 8080, "web")?;
        assert_eq!(reached, open, "{client}, where {from} is listed");
    }
    Ok(row)
}

fn all_of_it(desk: &Desk) -> Result {
    desk.lab.run("web", &["-p", "8080:80"], &[])?;
    desk.done("set create ipfriends")?;
    desk.done("set add ipfriends 203.0.113.10 fd00:1::10")?;
    desk.done("allow web --from ipfriends")?;
    what_was_counted(desk)?;
    is(desk, "ipfriends", "restricted", [true, false])?;
    others_open(desk)?;
    others_close(desk)?;
    nobody_can_tell(desk)?;
    ours_is_missing(desk)?;
    is(desk, "ipfriends", "restricted", [true, false])?;
    what_is_not_read(desk)
}

/// Packets of the friend and of the stranger, the most of each way where there are several; and in the page the path that each of them takes.
fn what_was_counted(desk: &Desk) -> Result {
    let counted = || -> Result<(u64, u64)> {
        let template = "{{.Published}} {{.Allowed}} {{.Dropped}}";
        let output = desk.words(&["ls", "web", "--format", template])?;
        let line = output.stdout.lines().find(|line| line.starts_with("0.0.0.0:8080 ")).expect("a row");
        let figures: Vec<u64> =
            line.split(' ').skip(1).map(|word| word.trim_start_matches('≤').parse().expect(line)).collect();
        Ok((figures[0], figures[1]))
    };
    assert_eq!(counted()?, (0, 0));
    assert!(desk.reaches(Client::Friend, Client::Host.v4(), 8080, "web")?);
    let (allowed, dropped) = counted()?;
    assert!(allowed >= 3 && dropped == 0, "{allowed} allowed, {dropped} dropped");
    assert!(!desk.reaches(Client::Stranger, Client::Host.v4(), 8080, "web")?);
    let (still, dropped) = counted()?;
    assert!(still == allowed && dropped >= 1, "{still} of {allowed} allowed, {dropped} dropped");
    let page = desk.words(&["ls", "--format", "html"])?.stdout;
    for path in ["everyone (", "ipfriends (203.0.113.10) -&gt; 203.0.113.1:8080: allowed: ", "-A DOCKER-FIREWALL-TO"] {
        assert!(page.contains(path), "{path} is not in the page");
    }
    Ok(())
}

fn others_open(desk: &Desk) -> Result {
    // The backstop holds.
    desk.shell("iptables -I FORWARD -j ACCEPT")?;
    is(desk, "ipfriends", "restricted", [true, false])?;
    // The answers too: the backstop judges both directions.
    desk.shell("for way in -s -d; do iptables -t security -I FORWARD $way 203.0.113.66 -j ACCEPT; done")?;
    let let_in = is(desk, "ipfriends, 203.0.113.66", "restricted", [true, true])?;
    assert!(let_in.because.starts_with("iptables -t filter, FORWARD rule 1: -j ACCEPT"), "{}", let_in.because);
    desk.shell(
        "iptables -D FORWARD -j ACCEPT; for way in -s -d; do iptables -t security -D FORWARD $way 203.0.113.66 -j ACCEPT; done",
    )
    .map(drop)
}

fn others_close(desk: &Desk) -> Result {
    desk.shell("iptables -I DOCKER-USER -s 203.0.113.10 -j DROP")?;
    let closed = is(desk, "nobody", "closed", [false, false])?;
    assert!(closed.because.ends_with("-s 203.0.113.10/32 -j DROP"), "{}", closed.because);
    // What ufw does to what is forwarded, in short.
    desk.shell("iptables -D DOCKER-USER -s 203.0.113.10 -j DROP; iptables -N UFW; iptables -I FORWARD -j UFW")?;
    desk.shell("iptables -A UFW -s 203.0.113.10 -p tcp --dport 80 -j RETURN; iptables -A UFW -i br-ext -j REJECT")?;
    is(desk, "ipfriends", "restricted", [true, false])?;
    desk.shell("iptables -R UFW 1 -s 203.0.113.10 -p tcp --dport 81 -j RETURN")?;
    is(desk, "nobody", "closed", [false, false])?;
    desk.shell("iptables -D FORWARD -j UFW; iptables -F UFW; iptables -X UFW").map(drop)
}

fn nobody_can_tell(desk: &Desk) -> Result {
    let rule = "-s 203.0.113.10/32 -m limit --limit 1000/sec -j ACCEPT";
    desk.shell(&format!("iptables -I DOCKER-USER -s 203.0.113.10 -j DROP; iptables -I DOCKER-USER {rule}"))?;
    let unsure = row(desk)?;
    assert!(
        unsure.from.starts_with("unknown (because of: iptables -t filter, DOCKER-USER rule 1: "),
        "{}",
        unsure.from
    );
    assert!(unsure.from.contains("-m limit --limit 1000/sec"), "{}", unsure.from);
    assert_eq!((unsure.differs, unsure.policy.as_str()), (true, "ipfriends"));
    desk.shell(&format!("iptables -D DOCKER-USER {rule}; iptables -D DOCKER-USER -s 203.0.113.10 -j DROP")).map(drop)
}

fn ours_is_missing(desk: &Desk) -> Result {
    desk.shell("for t in filter security; do iptables -t $t -F DOCKER-FIREWALL-TO; iptables -t $t -F DOCKER-FIREWALL-FROM; done")?;
    is(desk, "everyone", "world", [true, true])?;
    assert_eq!(desk.run("plan")?.code, 2);
    desk.done("apply")?;
    is(desk, "ipfriends", "restricted", [true, false])?;
    desk.shell("ipset flush ipfriends")?;
    is(desk, "nobody", "closed", [false, false])?;
    desk.done("apply").map(drop)
}

fn what_is_not_read(desk: &Desk) -> Result {
    desk.shell("ip rule add from 203.0.113.66 lookup main")?;
    let unsure = row(desk)?;
    assert!(unsure.from.starts_with("unknown (because of: policy routing"), "{}", unsure.from);
    assert!(unsure.remarks.contains("policy routing") && unsure.exposed == "restricted", "{}", unsure.remarks);
    desk.shell("ip rule del from 203.0.113.66 lookup main")?;
    assert!(!row(desk)?.differs);
    Ok(())
}
