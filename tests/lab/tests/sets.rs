//! Sets, from the command line, from the recipe's own file and from plain `ipset`.
//!
//! Needs root and the engines of `tests/engines.sh`: `cargo test -p docker-firewall-lab -- --ignored`.

mod desk;

use std::thread::sleep;
use std::time::Duration;

use desk::{CONFIG, Desk, Result};
use lab::Client;

on_both_ends!(all_of_it, "sets");

const FRIENDS: &str = "203.0.113.10 fd00:1::10";

fn all_of_it(desk: &Desk) -> Result {
    desk.lab.run("web", &["-p", "8080:80"], &[])?;
    // Another program's sets, which nothing here may touch.
    desk.shell("ipset create crowdsec hash:ip timeout 3600; ipset add crowdsec 203.0.113.66 timeout 0")?;
    desk.shell("ipset create crowdsec-six hash:ip family inet6; ipset add crowdsec-six fd00:1::66")?;
    entries_of_all_kinds(desk)?;
    desk.clear()?;
    the_recipe_is_imported(desk)?;
    bad_lines_are_named(desk)?;
    desk.clear()?;
    members_by_hand(desk)?;
    entries_end(desk)?;
    desk.clear()?;
    sets_of_others(desk)?;
    desk.clear()?;
    a_set_that_is_there_already(desk)?;
    let foreign = desk.shell("ipset save")?;
    assert!(foreign.contains("add crowdsec 203.0.113.66") && foreign.contains("add crowdsec-six fd00:1::66"));
    Ok(())
}

fn entries_of_all_kinds(desk: &Desk) -> Result {
    assert_eq!(desk.done("set create ipfriends")?, "ipfriends");
    desk.done("allow web --from ipfriends")?;
    desk.only(8080, "web", false, false)?;
    let said = desk.told(&format!("set add ipfriends {FRIENDS} 10.1.2.3/8 192.0.2.1-192.0.2.5"))?;
    assert!(said.contains("10.1.2.3/8 has host bits set: it means 10.0.0.0/8"), "{said}");
    assert!(said.contains("Added 6 entries: ipfriends now has 6 entries; rule 1 asks it."), "{said}");
    desk.only(8080, "web", true, false)?;
    for (address, code) in [("10.9.9.9", 0), ("192.0.2.5", 0), ("192.0.2.6", 1), ("fd00:1::10", 0), ("fd00:1::66", 1)] {
        assert_eq!(desk.idle(&format!("set test ipfriends {address}"))?.code, code, "{address}");
    }
    desk.done("set add ipfriends 0.0.0.0/0 ::/0")?;
    desk.only(8080, "web", true, true)?;
    assert_eq!(desk.idle("set test ipfriends 8.8.8.8")?.code, 0);
    desk.done("set del ipfriends 0.0.0.0/0 ::/0")?;
    desk.only(8080, "web", true, false)?;
    let said = desk.told("set add ipfriends 203.0.113.10")?;
    assert!(said.contains("1 entry was there already"), "{said}");

    let listed = desk.idle("set ls")?.stdout;
    let row: Vec<&str> = listed.lines().nth(1).unwrap_or_default().split_whitespace().collect();
    assert_eq!(row, ["ipfriends", "hash:net", "5", "1", "1"], "{listed}");
    // What is exported is read by plain ipset.
    let exported = desk.idle("set export ipfriends")?.stdout.replace("ipfriends", "again");
    desk.lab.feed(&exported, &["ipset", "restore"])?.require("ipset restore")?;
    desk.shell(
        "ipset test again 10.9.9.9 && ipset test again-v6 fd00:1::10 && ipset destroy again && ipset destroy again-v6",
    )?;

    desk.refused("set rm ipfriends", 1, &["in use by rule 1", "allow web --from ipfriends", "docker firewall rm 1"])?;
    desk.done("rm 1")?;
    assert_eq!(desk.done("set rm ipfriends")?, "ipfriends");
    let left = desk.shell("ipset list -n")?;
    assert!(!left.contains("ipfriends"), "{left}");
    Ok(())
}

const RECIPE: &str = "# friends of the house\n\
    create -exist ipfriends hash:ip family inet hashsize 1024 maxelem 65536\n\
    flush\n\
    # Alice\n\
    add ipfriends 203.0.113.10\n\
    \n\
    add ipfriends 192.0.2.17\n";

/// The file that the recipe's administrators keep: its `flush` means this set, its type and comments stay.
fn the_recipe_is_imported(desk: &Desk) -> Result {
    desk.write("/tmp/ipfriends.conf", RECIPE)?;
    let said = desk.told("set import ipfriends /tmp/ipfriends.conf")?;
    assert!(said.contains("2 entries added, 0 removed. ipfriends now has 2 entries"), "{said}");
    assert!(said.contains("a bare `flush` empties every ipset of the host"), "{said}");
    desk.shell(
        "ipset test crowdsec 203.0.113.66 && ipset test crowdsec-six fd00:1::66 && ipset test ipfriends 192.0.2.17",
    )?;
    let file = desk.shell(&format!("cat {CONFIG}/sets/ipfriends.conf"))?;
    for line in
        ["# friends of the house", "create ipfriends hash:ip family inet hashsize 1024 maxelem 65536", "# Alice"]
    {
        assert!(file.lines().any(|kept| kept == line), "{line:?} is not in:\n{file}");
    }
    assert!(!file.contains("flush"), "{file}");
    // The same again changes nothing; under another name it says so.
    let again = desk.lab.feed(RECIPE, &["docker", "firewall", "set", "import", "ipfriends", "-"])?;
    assert!(again.require("set import")?.contains("0 entries added, 0 removed"));
    let said = desk.told("set import guests /tmp/ipfriends.conf")?;
    assert!(said.contains("the file calls the set ipfriends; it was read as guests"), "{said}");
    desk.done("allow web --from guests")?;
    assert!(desk.reaches(Client::Friend, Client::Host.v4(), 8080, "web")?);
    // Whom the file has no more is out, and so is who was let in by hand since.
    desk.shell("ipset add guests 203.0.113.66")?;
    assert!(desk.reaches(Client::Stranger, Client::Host.v4(), 8080, "web")?);
    desk.write("/tmp/ipfriends.conf", &RECIPE.replace("203.0.113.10", "fd00:1::10"))?;
    let said = desk.told("set import guests /tmp/ipfriends.conf")?;
    assert!(said.contains("1 entry added, 1 removed"), "{said}");
    assert!(said.contains("1 entry of guests, put into the kernel by hand, went too"), "{said}");
    assert!(said.contains("1 entry goes to guests-v6"), "{said}");
    for (client, to, reached) in [
        (Client::Friend, Client::Host.v4(), false),
        (Client::Friend, Client::Host.v6(), true),
        (Client::Stranger, Client::Host.v4(), false),
    ] {
        assert_eq!(desk.reaches(client, to, 8080, "web")?, reached, "{client} to {to}");
    }
    Ok(())
}

fn bad_lines_are_named(desk: &Desk) -> Result {
    for (line, place, says) in [
        ("add ipfriends 1.2.3", "line 8, column 15: ", "\"1.2.3\" is not an IP address"),
        ("add ipfriends www.example.org", "line 8, column 15: ", "is not an IP address"),
        ("add crowdsec 192.0.2.1", "line 8, column 5: ", "one file, one set"),
        ("create crowdsec hash:ip", "line 8, column 8: ", "one file, one set"),
        ("flush crowdsec", "line 8, column 7: ", "one file, one set"),
        ("destroy", "line 8, column 1: ", "it has create, add and flush"),
        ("destroy crowdsec", "line 8, column 1: ", "it has create, add and flush"),
        ("swap ipfriends crowdsec", "line 8, column 1: ", "it has create, add and flush"),
        ("add ipfriends", "line 8, column 1: ", "needs the set's name and an address"),
        ("add ipfriends 192.0.2.1 timeout soon", "line 8, column 33: ", "a timeout goes from 0"),
        ("add ipfriends 192.0.2.1 # Bob", "line 8, column 25: ", "ipset takes no comment behind an entry"),
        ("add ipfriends 192.0.2.1 comment \"Bob", "line 8, column 33: ", "the quote is never closed"),
        ("rm -rf /", "line 8, column 1: ", "neither a command of ipset nor an address"),
    ] {
        desk.write("/tmp/bad.conf", &format!("{RECIPE}{line}\n"))?;
        for name in ["ipfriends", "unheard"] {
            let import = format!("set import {name} /tmp/bad.conf");
            desk.refused(&import, 1, &["/tmp/bad.conf: ", place, says, "Nothing was changed"])?;
        }
    }
    Ok(())
}

/// Plain `ipset add` works at once, is shown as not saved, is kept by every command, and can be saved or taken back.
fn members_by_hand(desk: &Desk) -> Result {
    desk.done("set create ipfriends")?;
    desk.done(&format!("set add ipfriends {FRIENDS}"))?;
    desk.done("allow web --from ipfriends")?;
    desk.shell("ipset add ipfriends 203.0.113.66 && ipset add ipfriends-v6 fd00:1::66")?;
    desk.only(8080, "web", true, true)?;
    let inspected = desk.idle("set inspect ipfriends")?.stdout;
    let unsaved: String =
        inspected.split("\"NotSaved\": [").nth(1).unwrap_or_default().split(']').next().unwrap().into();
    assert!(unsaved.contains("203.0.113.66") && unsaved.contains("fd00:1::66"), "{inspected}");
    let tested = desk.idle("set test ipfriends 203.0.113.66")?;
    assert!(tested.code == 0 && tested.stdout.contains("but not saved in its file"), "{tested:?}");
    assert!(desk.told("plan")?.contains("1 entry not saved in its file (203.0.113.66)"));
    desk.done("apply")?;
    desk.done("allow web --from 192.0.2.1")?;
    desk.done("rm 2")?;
    desk.done("set add ipfriends 192.0.2.1")?;
    desk.only(8080, "web", true, true)?;
    desk.done("set add ipfriends 203.0.113.66")?;
    assert!(desk.shell(&format!("cat {CONFIG}/sets/ipfriends.conf"))?.contains("add ipfriends 203.0.113.66"));
    desk.done("set del ipfriends fd00:1::66 203.0.113.66")?;
    desk.only(8080, "web", true, false)?;
    // Taken out by hand, a member that is saved comes back with `apply`, and until then everybody says so.
    desk.shell("ipset del ipfriends 203.0.113.10")?;
    let tested = desk.idle("set test ipfriends 203.0.113.10")?;
    assert!(tested.code == 1 && tested.stdout.contains("NOT in the kernel"), "{tested:?}");
    let status = desk.idle("status")?;
    assert!(
        status.code == 1 && status.stdout.contains("NO: the kernel differs in 1 line; `docker firewall plan`"),
        "{status:?}"
    );
    assert!(desk.idle("ls web")?.stderr.contains("1 way is not what the policy says"));
    assert_eq!(desk.idle("plan")?.code, 2);
    desk.done("apply")?;
    desk.only(8080, "web", true, false)
}

/// An entry with an end leaves the kernel by itself and the file with the next edit.
fn entries_end(desk: &Desk) -> Result {
    desk.done("set add ipfriends 203.0.113.66 --for 3s")?;
    assert!(desk.reaches(Client::Stranger, Client::Host.v4(), 8080, "web")?);
    sleep(Duration::from_millis(3300));
    assert!(!desk.reaches(Client::Stranger, Client::Host.v4(), 8080, "web")?);
    assert_eq!(desk.idle("set test ipfriends 203.0.113.66")?.code, 1);
    assert_eq!(desk.idle("plan")?.code, 0);
    desk.done("apply")?;
    assert!(!desk.reaches(Client::Stranger, Client::Host.v4(), 8080, "web")?);
    let said = desk.told("set add ipfriends 192.0.2.9")?;
    assert!(said.contains("ipfriends now has 4 entries"), "{said}");
    assert!(!desk.shell(&format!("cat {CONFIG}/sets/ipfriends.conf"))?.contains("203.0.113.66"));
    Ok(())
}

/// `ipset:NAME` asks a set that another program keeps, in the family that it has.
fn sets_of_others(desk: &Desk) -> Result {
    desk.done("deny web --from ipset:crowdsec,ipset:crowdsec-six")?;
    desk.only(8080, "web", true, false)?;
    desk.shell("ipset add crowdsec 203.0.113.10")?;
    assert!(!desk.reaches(Client::Friend, Client::Host.v4(), 8080, "web")?);
    desk.shell("ipset del crowdsec 203.0.113.10")?;
    desk.only(8080, "web", true, false)?;
    desk.refused("set add crowdsec 192.0.2.1", 1, &["there is no set crowdsec"])?;
    desk.refused("set create crowdsec", 1, &["the kernel has a set crowdsec already", "Choose another name"])
}

/// The recipe's kernel set is taken over with its members.
fn a_set_that_is_there_already(desk: &Desk) -> Result {
    desk.shell("ipset create veterans hash:net; ipset add veterans 203.0.113.10")?;
    let said = desk.told("set create veterans")?;
    assert!(said.contains("it is taken over with its 1 entry"), "{said}");
    desk.done("allow web --from veterans")?;
    assert!(desk.reaches(Client::Friend, Client::Host.v4(), 8080, "web")?);
    assert!(!desk.reaches(Client::Stranger, Client::Host.v4(), 8080, "web")?);
    desk.done("reset --force")?;
    Ok(())
}
