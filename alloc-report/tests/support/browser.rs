//! [`Browser`]: Chromium without a window, driven through its DevTools protocol. Each test binary
//! uses a part of this.

#![allow(dead_code)]

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use command_fds::{CommandFdExt as _, FdMapping};
use serde_json::{Value, json};

/// A page in a browser of its own.
pub(crate) struct Browser {
    process: Child,
    to: File,
    from: BufReader<File>,
    calls: u64,
    session: Option<String>,
    /// What went wrong on the page: errors on the console, exceptions, dialogs.
    faults: Vec<String>,
    events: VecDeque<String>,
    /// The browser's own files.
    _profile: tempfile::TempDir,
}

/// The size of the window, in pixels.
pub(crate) const WIDE: (u32, u32) = (1400, 1200);

impl Browser {
    /// Starts a browser. Returns `None` if there is none, unless `ALLOC_TESTS_REQUIRE_TOOLS` is set.
    pub(crate) fn start() -> Option<Browser> {
        let profile = tempfile::tempdir().unwrap();
        let (browser_reads, to) = io::pipe().unwrap();
        let (from, browser_writes) = io::pipe().unwrap();
        let mut command = Command::new("chromium");
        // NOTE: containers lack what its sandbox needs, and often a large /dev/shm.
        command
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
            ])
            .args([
                "--remote-debugging-pipe",
                "--no-first-run",
                "--hide-scrollbars",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let fds = vec![
            FdMapping {
                parent_fd: browser_reads.into(),
                child_fd: 3,
            },
            FdMapping {
                parent_fd: browser_writes.into(),
                child_fd: 4,
            },
        ];
        command.fd_mappings(fds).unwrap();
        let process = match command.spawn() {
            Ok(process) => process,
            Err(error) => {
                let required = std::env::var_os("ALLOC_TESTS_REQUIRE_TOOLS").is_some();
                assert!(
                    !required,
                    "chromium: {error}, and ALLOC_TESTS_REQUIRE_TOOLS is set"
                );
                eprintln!("skipped: chromium is not installed");
                return None;
            }
        };
        // The ends of the browser were closed here when the command was dropped.
        drop(command);
        let mut browser = Browser {
            process,
            to: File::from(std::os::fd::OwnedFd::from(to)),
            from: BufReader::new(File::from(std::os::fd::OwnedFd::from(from))),
            calls: 0,
            session: None,
            faults: Vec::new(),
            events: VecDeque::new(),
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let target = target["targetId"].as_str().unwrap();
        let attached = json!({ "targetId": target, "flatten": true });
        let attached = browser.call("Target.attachToTarget", attached);
        browser.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser.resize(WIDE, 1.0, false);
        Some(browser)
    }

    pub(crate) fn resize(&mut self, (width, height): (u32, u32), ratio: f64, is_phone: bool) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": ratio, "mobile": is_phone,
        });
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    pub(crate) fn prefer(&mut self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call(
            "Emulation.setEmulatedMedia",
            json!({ "features": features }),
        );
    }

    /// Opens a file, with a fragment such as `#by=function`, and waits until the page is drawn.
    pub(crate) fn open(&mut self, path: &Path, fragment: &str) {
        self.load(path, fragment);
        self.wait("document.documentElement?.dataset.ready || document.getElementById('failure')?.hidden === false");
    }

    /// Opens a file.
    pub(crate) fn load(&mut self, path: &Path, fragment: &str) {
        self.go(&format!("file://{}{fragment}", path.display()));
    }

    /// Opens an address.
    pub(crate) fn go(&mut self, url: &str) {
        // Another address first: a page whose fragment alone changes is not loaded again.
        self.call("Page.navigate", json!({ "url": "about:blank" }));
        self.call("Page.navigate", json!({ "url": url }));
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'");
    }

    /// Chooses a file in the first element that a selector finds, as a person does in a dialog.
    #[track_caller]
    pub(crate) fn choose_file(&mut self, selector: &str, path: &Path) {
        self.wait(&format!("document.querySelector({})", json!(selector)));
        let what = json!({ "expression": format!("document.querySelector({})", json!(selector)) });
        let element = self.call("Runtime.evaluate", what);
        let what = json!({ "objectId": element["result"]["objectId"], "files": [path] });
        self.call("DOM.setFileInputFiles", what);
    }

    /// The value of an expression.
    #[track_caller]
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let what = json!({
            "expression": expression, "returnByValue": true, "awaitPromise": true,
        });
        let mut result = self.call("Runtime.evaluate", what);
        assert!(
            result["exceptionDetails"].is_null(),
            "{expression}: {result:#}"
        );
        result["result"]["value"].take()
    }

    /// The text of the first element that a selector finds, as it is shown.
    #[track_caller]
    pub(crate) fn text(&mut self, selector: &str) -> String {
        let expression = format!("document.querySelector({}).innerText", json!(selector));
        self.evaluate(&expression)
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub(crate) fn wait(&mut self, expression: &str) {
        let start = Instant::now();
        while self.evaluate(&format!("Boolean({expression})")) != true {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "never true: {expression}; {:?}",
                self.faults
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Clicks the middle of the first element that a selector finds.
    #[track_caller]
    pub(crate) fn click(&mut self, selector: &str) {
        let expression = format!(
            "(() => {{ const found = document.querySelector({}); found.scrollIntoView({{ block: 'center' }});
                const box = found.getBoundingClientRect();
                return [box.x + box.width / 2, box.y + box.height / 2]; }})()",
            json!(selector)
        );
        let place = self.evaluate(&expression);
        self.click_at(place[0].as_f64().unwrap(), place[1].as_f64().unwrap());
    }

    pub(crate) fn click_at(&mut self, x: f64, y: f64) {
        self.drag(&[(x, y)]);
    }

    /// Presses the button at the first point, moves through the others, and releases it at the last.
    pub(crate) fn drag(&mut self, points: &[(f64, f64)]) {
        let (first, last) = (points[0], points[points.len() - 1]);
        self.mouse("mouseMoved", first, 0);
        self.mouse("mousePressed", first, 1);
        for &point in &points[1..] {
            self.mouse("mouseMoved", point, 1);
        }
        self.mouse("mouseReleased", last, 0);
    }

    pub(crate) fn mouse(&mut self, kind: &str, (x, y): (f64, f64), buttons: u32) {
        let what = json!({
            "type": kind, "x": x, "y": y, "buttons": buttons, "clickCount": 1,
            "button": if kind == "mouseMoved" { "none" } else { "left" },
        });
        self.call("Input.dispatchMouseEvent", what);
    }

    /// Presses a key that has no text, such as `ArrowDown`.
    pub(crate) fn press(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            let what = json!({ "type": kind, "key": key, "code": key });
            self.call("Input.dispatchKeyEvent", what);
        }
    }

    /// Types text into what has the focus.
    pub(crate) fn type_text(&mut self, text: &str) {
        for letter in text.chars() {
            for kind in ["keyDown", "keyUp"] {
                let letter = letter.to_string();
                let what = match kind {
                    "keyDown" => json!({ "type": kind, "key": letter, "text": letter }),
                    _ => json!({ "type": kind, "key": letter }),
                };
                self.call("Input.dispatchKeyEvent", what);
            }
        }
    }

    /// Writes a picture of the window, if `ALLOC_TESTS_PICTURES` names a folder.
    pub(crate) fn picture(&mut self, name: &str) {
        let Some(folder) = std::env::var_os("ALLOC_TESTS_PICTURES") else {
            return;
        };
        let shot = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        let data = shot["data"].as_str().unwrap();
        let bytes = base64::prelude::BASE64_STANDARD.decode(data).unwrap();
        fs::write(PathBuf::from(folder).join(format!("{name}.png")), bytes).unwrap();
    }

    /// Fails if anything went wrong on the page.
    #[track_caller]
    pub(crate) fn check_faultless(&mut self) {
        self.evaluate("0");
        assert!(self.faults.is_empty(), "{:#?}", self.faults);
    }

    /// Calls a method of the protocol, and notes the faults that are reported meanwhile.
    #[track_caller]
    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let mut message = json!({ "id": self.calls, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).unwrap();
        loop {
            let mut bytes = Vec::new();
            self.from.read_until(0, &mut bytes).unwrap();
            assert!(bytes.pop().is_some(), "the browser ended during {method}");
            let mut message: Value = serde_json::from_slice(&bytes).unwrap();
            if message["id"] == self.calls {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].take();
            }
            self.note(&message);
        }
    }

    fn note(&mut self, event: &Value) {
        let parameters = &event["params"];
        let is_fault = match event["method"].as_str().unwrap_or_default() {
            "Runtime.exceptionThrown" | "Page.javascriptDialogOpening" => true,
            "Runtime.consoleAPICalled" => {
                parameters["type"] == "error" || parameters["type"] == "warning"
            }
            "Log.entryAdded" => parameters["entry"]["level"] == "error",
            // The page needs nothing that is not in it.
            "Network.requestWillBeSent" => {
                let url = parameters["request"]["url"].as_str().unwrap_or_default();
                !["file:", "data:", "about:"]
                    .iter()
                    .any(|it| url.starts_with(it))
            }
            _ => false,
        };
        if is_fault {
            self.faults.push(event.to_string());
        }
        self.events.push_back(event["method"].to_string());
        self.events.truncate(64);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}
