//! The page and the picture in a real browser: Debian's chromium, spoken to by its debugging pipe. It looks at styles as
//! they came out, clicks filters, types, and sees to it that no name runs and nothing is asked of anybody.

#![allow(clippy::unwrap_used, clippy::panic, clippy::needless_pass_by_value, reason = "a test")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use docker_firewall::access::{Exposure, Resident, Road, Tried, Way};
use docker_firewall::effective::Answer;
use docker_firewall::graph::Graph;
use docker_firewall::net::Family;
use docker_firewall::page::{Report, page};
use docker_firewall::policy::Policy;
use serde_json::{Value, json};
use tempfile::TempDir;

const HOSTILE: &str =
    "</script><script>window.ran=1</script><img src=x onerror=window.ran=1>\"'\u{1b}[31m\u{202e}\0\u{ffff}";

/// A browser with one tab.
struct Browser {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: String,
    calls: u64,
    /// What was asked for since the page was opened.
    requests: Vec<String>,
    _profile: TempDir,
}

impl Browser {
    fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        // The pipe is on descriptors 3 and 4.
        let script = format!(
            "exec chromium --headless --no-sandbox --disable-gpu --remote-debugging-pipe --user-data-dir='{}' \
             about:blank 3<&0 4>&1 </dev/null >/dev/null 2>&1",
            profile.path().display()
        );
        let mut child =
            Command::new("/bin/sh").args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut browser =
            Self { child, to, from, session: String::new(), calls: 0, requests: Vec::new(), _profile: profile };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attached = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.call("Target.attachToTarget", attached);
        session["sessionId"].as_str().unwrap().clone_into(&mut browser.session);
        for domain in ["Page", "Network", "Runtime"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    fn next(&mut self) -> Value {
        let mut message = Vec::new();
        assert!(self.from.read_until(0, &mut message).unwrap() > 0, "chromium has gone: is it installed?");
        message.pop();
        let message: Value = serde_json::from_slice(&message).unwrap();
        if message["method"] == "Network.requestWillBeSent" {
            self.requests.push(message["params"]["request"]["url"].as_str().unwrap().to_owned());
        }
        message
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let mut message = json!({"id": self.calls, "method": method, "params": params});
        if !self.session.is_empty() {
            message["sessionId"] = self.session.clone().into();
        }
        write!(self.to, "{message}\0").unwrap();
        loop {
            let answer = self.next();
            if answer["id"] == self.calls {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    fn open(&mut self, file: &Path) {
        self.requests.clear();
        self.call("Page.navigate", json!({"url": format!("file://{}", file.display())}));
        while self.next()["method"] != "Page.loadEventFired" {}
    }

    fn eval(&mut self, expression: &str) -> Value {
        let result = self.call("Runtime.evaluate", json!({"expression": expression, "returnByValue": true}));
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// The names in the rows that are seen.
    fn rows(&mut self) -> Vec<String> {
        let seen = self.eval(
            "[...document.querySelectorAll('tbody tr')].filter((row) => row.offsetHeight > 0)\
             .map((row) => row.cells[0].textContent)",
        );
        seen.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    }

    fn media(&mut self, media: &str, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({"media": media, "features": features}));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ways() -> Vec<Way> {
    let way = |name: &str, exposure: Exposure, from: &str| Way {
        to: Resident { name: name.to_owned(), networks: vec![HOSTILE.to_owned()], ..Resident::default() },
        published: "0.0.0.0:8080".to_owned(),
        port: "80/tcp".to_owned(),
        road: Road::Dnat,
        family: Some(Family::V4),
        from: from.to_owned(),
        intended: None,
        because: String::new(),
        exposure,
        rules: Vec::new(),
        managed: exposure != Exposure::World,
        calls: None,
        tried: vec![Tried {
            name: from.to_owned(),
            address: [192, 0, 2, 1].into(),
            to: ([192, 0, 2, 2], 8080).into(),
            answer: Answer::Allowed,
            because: "no rule stands in the way".to_owned(),
            steps: vec!["met     iptables -t filter -A DOCKER-USER -j RETURN".to_owned(), HOSTILE.to_owned()],
        }],
        traffic: None,
    };
    vec![
        way("web10", Exposure::World, "everyone"),
        way("web2", Exposure::Restricted, "ipfriends"),
        way("db", Exposure::Closed, "nobody"),
        way(HOSTILE, Exposure::World, HOSTILE),
    ]
}

#[test]
#[ignore = "needs chromium: tests/run.sh page"]
fn the_page_filters_and_no_name_runs() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("page.html");
    let (ways, hostile) = (ways(), [HOSTILE.to_owned()]);
    let report = Report {
        host: HOSTILE,
        moment: "2030-01-01T00:00:00",
        default: "open",
        ways: &ways,
        rules: &hostile,
        remarks: &hostile,
    };
    std::fs::write(&file, page(&report)).unwrap();
    let mut browser = Browser::start();
    browser.media("screen", "light");
    browser.open(&file);
    assert_eq!(browser.requests.len(), 1, "{:?}", browser.requests);
    let hostile_name = browser.rows().pop().unwrap();
    assert!(hostile_name.starts_with("</script><script>") && hostile_name.contains("\\x1b[31m\\u{202e}"));
    assert_eq!(browser.eval("String(window.ran)"), "undefined");
    // The script ran, so its digest in the policy is right.
    assert_eq!(browser.eval("document.getElementById('shown').textContent"), "4 of 4 shown");

    browser.eval("document.getElementById('world').click()");
    assert_eq!(browser.rows(), ["web10", hostile_name.as_str()]);
    assert_eq!(browser.eval("document.getElementById('shown').textContent"), "2 of 4 shown");
    browser.eval("document.getElementById('restricted').click()");
    assert_eq!(browser.rows(), ["web2"]);
    browser.eval("document.getElementById('all').click(); document.getElementById('unmanaged').click()");
    assert_eq!(browser.rows(), ["web10", hostile_name.as_str()]);
    browser.eval("document.getElementById('unmanaged').click(); document.getElementById('search').focus()");
    browser.call("Input.insertText", json!({"text": "NOBODY"}));
    assert_eq!(browser.rows(), ["db"]);
    // Paths that are folded away are not searched; a click on who can reach a way opens its path, and one box opens all.
    browser.eval("const own = document.getElementById('search'); own.value = 'docker-user'; own.dispatchEvent(new Event('input', {bubbles: true}))");
    assert!(browser.rows().is_empty());
    browser.eval("own.value = ''; own.dispatchEvent(new Event('input', {bubbles: true}))");
    let steps = "[...document.querySelectorAll('tbody li')].filter((step) => step.checkVisibility()).length";
    assert_eq!(browser.eval(steps), 0);
    browser.eval("document.querySelector('tbody summary').click()");
    assert_eq!(browser.eval(steps), 2);
    browser.eval("document.getElementById('paths').click()");
    assert_eq!(browser.eval(steps), 8);
    browser.eval("document.getElementById('paths').click()");
    assert_eq!(browser.eval(steps), 0);
    browser.eval("const box = document.getElementById('search'); box.value = ''; box.dispatchEvent(new Event('input', {bubbles: true}))");

    // By keyboard: the first heading's button, as TAB reaches it.
    browser.eval("document.querySelector('thead button').focus()");
    for kind in ["keyDown", "keyUp"] {
        let key = json!({"type": kind, "key": "Enter", "code": "Enter", "text": "\r", "windowsVirtualKeyCode": 13});
        browser.call("Input.dispatchKeyEvent", key);
    }
    assert_eq!(browser.rows()[1..], ["db", "web2", "web10"]);
    assert_eq!(browser.eval("document.querySelector('thead th').getAttribute('aria-sort')"), "ascending");

    let paper = "getComputedStyle(document.body).backgroundColor";
    assert_eq!(browser.eval(paper), "rgb(255, 255, 255)");
    browser.media("screen", "dark");
    assert_eq!(browser.eval(paper), "rgb(20, 24, 27)");
    browser.media("print", "light");
    assert_eq!(browser.eval("getComputedStyle(document.querySelector('.filters')).display"), "none");
    assert_eq!(browser.rows().len(), 4);

    browser.media("screen", "light");
    browser.call("Emulation.setScriptExecutionDisabled", json!({"value": true}));
    browser.open(&file);
    assert_eq!(browser.eval("document.getElementById('search-label').offsetHeight"), 0);
    assert_eq!(browser.rows().len(), 4);
    browser.eval("document.getElementById('closed').click()");
    assert_eq!(browser.rows(), ["db"]);
    assert_eq!(browser.requests.len(), 1, "{:?}", browser.requests);
}

#[test]
#[ignore = "needs chromium: tests/run.sh page"]
fn the_picture_is_well_formed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("graph.svg");
    std::fs::write(&file, Graph::new(&Policy::default(), &ways()).svg()).unwrap();
    let mut browser = Browser::start();
    browser.open(&file);
    assert_eq!(browser.eval("document.querySelectorAll('parsererror').length"), 0);
    // Four containers, their network, and everyone.
    assert_eq!(browser.eval("document.querySelectorAll('g').length"), 6);
    assert_eq!(browser.eval("document.querySelectorAll('path.world').length"), 2);
    assert_eq!(browser.eval("String(window.ran)"), "undefined");
    assert_eq!(browser.requests.len(), 1, "{:?}", browser.requests);
}
