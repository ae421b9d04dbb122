//! [`PushOptions`]: what is pushed, and where.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::Push;
use super::client::{Client, Receiver};
use super::worker::Worker;
use crate::record::thread;
use crate::{Bytes, Error};

/// What to push, and where: see [`push`](mod@crate::push).
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// use alloc_core::push::PushOptions;
/// use std::io::{Read as _, Write as _};
/// use std::time::Duration;
///
/// alloc_core::start()?;
/// // A receiver that accepts everything.
/// let receiver = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let push = PushOptions::pyroscope(&format!("http://{}", receiver.local_addr()?))
///     .service("shop")
///     .label("instance", "a")
///     .names(false)
///     .every(Duration::from_millis(10))
///     .start()?;
///
/// let (mut stream, _) = receiver.accept()?;
/// let mut head = [0; 25];
/// stream.read_exact(&mut head)?;
/// assert_eq!(&head, b"POST /ingest?name=shop%7B");
/// # let mut rest = vec![0; 1 << 20];
/// # stream.read(&mut rest)?;
/// stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
/// # drop(receiver);
/// # drop((stream, push));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct PushOptions {
    receiver: Receiver,
    url: String,
    service: String,
    labels: Vec<(String, String)>,
    tenant: Option<String>,
    authorization: Option<String>,
    every: Duration,
    queue: Bytes,
    names: bool,
    command: OsString,
}

impl PushOptions {
    /// Pushes to Pyroscope at a URL such as `http://127.0.0.1:4040`.
    ///
    /// `https` needs the feature `push-tls`. The environment's `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`
    /// count, as for other programs.
    pub fn pyroscope(url: &str) -> PushOptions {
        PushOptions::to(Receiver::Pyroscope, url)
    }

    /// Pushes to a collector of OpenTelemetry at a URL such as `http://127.0.0.1:4318`.
    ///
    /// The format of profiles in OTLP is not stable yet, so neither is this: see
    /// [`push`](mod@crate::push#otlp).
    ///
    /// ```
    /// use alloc_core::push::PushOptions;
    ///
    /// let options = PushOptions::otlp("http://127.0.0.1:4318").label("service.version", "1.2");
    /// options.start()?.detach();
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    #[cfg(feature = "otlp")]
    pub fn otlp(url: &str) -> PushOptions {
        PushOptions::to(Receiver::Otlp, url)
    }

    fn to(receiver: Receiver, url: &str) -> PushOptions {
        PushOptions {
            receiver,
            url: url.trim_end_matches('/').to_owned(),
            service: program_name(),
            labels: Vec::new(),
            tenant: None,
            authorization: None,
            every: Duration::from_secs(15),
            queue: Bytes::new(16 << 20),
            names: true,
            command: "alloc-report".into(),
        }
    }

    /// The name of the service: letters, digits and `._/-`. The default is the name of the program's
    /// file.
    pub fn service(mut self, name: impl Into<String>) -> PushOptions {
        self.service = name.into();
        self
    }

    /// Adds a label to each profile, such as the instance or the version. Its name has letters, digits
    /// and `_`, and for OTLP points; its value has no comma, brace or equals sign.
    ///
    /// ```
    /// use alloc_core::push::PushOptions;
    ///
    /// let options = PushOptions::pyroscope("http://127.0.0.1:4040").label("an instance", "a");
    /// let refused = options.start().unwrap_err().to_string();
    /// assert!(refused.contains("\"an instance\""), "{refused}");
    /// ```
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> PushOptions {
        self.labels.push((name.into(), value.into()));
        self
    }

    /// The tenant, in the header `X-Scope-OrgID`. The default is none.
    pub fn tenant(mut self, tenant: impl Into<String>) -> PushOptions {
        self.tenant = Some(tenant.into());
        self
    }

    /// A user and a password, for basic authentication. The default is none.
    ///
    /// ```
    /// use alloc_core::push::PushOptions;
    ///
    /// let options = PushOptions::pyroscope("http://127.0.0.1:4040").basic_auth("shop", "hunter2");
    /// // The password is a secret.
    /// assert!(!format!("{options:?}").contains("hunter2"));
    /// ```
    pub fn basic_auth(mut self, user: &str, password: &str) -> PushOptions {
        let pair = BASE64_STANDARD.encode(format!("{user}:{password}"));
        self.authorization = Some(format!("Basic {pair}"));
        self
    }

    /// How often a profile is taken. The default is 15 seconds.
    pub fn every(mut self, every: Duration) -> PushOptions {
        self.every = every;
        self
    }

    /// How many bytes of profiles wait while the receiver does not accept them. Once they are reached,
    /// no further profile is taken. The default is 16 MiB. No more than 32 profiles wait.
    pub fn queue(mut self, most: Bytes) -> PushOptions {
        self.queue = most;
        self
    }

    /// Whether profiles have functions, files and lines: see [names](mod@crate::push#names). The default
    /// is that they have.
    pub fn names(mut self, named: bool) -> PushOptions {
        self.names = named;
        self
    }

    /// The command that looks up names. The default is `alloc-report`, found in `PATH`.
    pub fn command(mut self, command: impl Into<PathBuf>) -> PushOptions {
        self.command = command.into().into();
        self
    }

    /// Starts to push, on a thread of its own. Whether the receiver is there, [`Push::health`] says.
    ///
    /// # Errors
    ///
    /// [`Error::is_io`] if the URL, the service, a label, the tenant or the interval cannot be used.
    ///
    /// ```
    /// use alloc_core::push::PushOptions;
    ///
    /// let refused = PushOptions::pyroscope("127.0.0.1:4040").start().unwrap_err();
    /// assert!(refused.is_io());
    /// assert!(refused.to_string().contains("http://"));
    /// ```
    pub fn start(self) -> Result<Push, Error> {
        let _muted = thread::mute();
        self.check().map_err(std::io::Error::other)?;
        let headers = [
            self.tenant.map(|it| ("X-Scope-OrgID", it)),
            self.authorization.map(|it| ("Authorization", it)),
        ];
        let client = Client {
            receiver: self.receiver,
            url: self.url,
            headers: headers.into_iter().flatten().collect(),
            service: self.service,
            labels: self.labels,
        };
        let command = Some(self.command).filter(|_| self.names);
        Push::start(Worker::new(client, self.every, command, self.queue))
    }

    /// What is wrong with these options.
    fn check(&self) -> Result<(), String> {
        let refuse = |expected: &str, found: &dyn fmt::Debug| {
            Err(format!(
                "cannot push profiles: expected {expected}, found {found:?}"
            ))
        };
        let has_host = |scheme| {
            let rest = self.url.strip_prefix(scheme);
            rest.is_some_and(|it| !it.is_empty() && it.parse::<ureq::http::Uri>().is_ok())
        };
        if has_host("https://") && cfg!(not(feature = "push-tls")) {
            return refuse("http://, or the feature push-tls", &self.url);
        }
        if !has_host("http://") && !has_host("https://") {
            return refuse("a URL, as http://127.0.0.1:4040", &self.url);
        }
        let consists_of = |text: &str, others: &str| {
            let is_known = |it: char| it.is_ascii_alphanumeric() || others.contains(it);
            !text.is_empty() && text.chars().all(is_known)
        };
        if !consists_of(&self.service, "._/-") {
            let expected = "a service of letters, digits and ._/-";
            return refuse(expected, &self.service);
        }
        for (name, value) in &self.labels {
            let others = match self.receiver {
                Receiver::Pyroscope => "_",
                #[cfg(feature = "otlp")]
                Receiver::Otlp => "_.",
            };
            if !consists_of(name, others) || name.starts_with(|it: char| it.is_ascii_digit()) {
                return refuse("a label's name of letters, digits and _", name);
            }
            if value.is_empty() || value.contains([',', '{', '}', '=']) || has_control(value) {
                return refuse(
                    "a label's value without a comma, brace or equals sign",
                    value,
                );
            }
        }
        if let Some(tenant) = self.tenant.as_ref().filter(|it| has_control(it)) {
            return refuse("a tenant without control characters", tenant);
        }
        if self.every < SHORTEST || self.every > LONGEST {
            return refuse("an interval of 10 ms to 1 day", &self.every);
        }
        Ok(())
    }
}

/// The shortest and the longest interval.
const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

/// The name of the program's file, with a dash for each character that a service's name cannot have.
fn program_name() -> String {
    let path = std::env::current_exe().unwrap_or_default();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let known = |it: char| match it {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' => it,
        _ => '-',
    };
    match name.is_empty() {
        true => "unknown".to_owned(),
        false => name.chars().map(known).collect(),
    }
}

impl fmt::Debug for PushOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushOptions")
            .field("receiver", &self.receiver)
            .field("url", &self.url)
            .field("service", &self.service)
            .field("labels", &self.labels)
            .field("tenant", &self.tenant)
            .field("authorization", &self.authorization.as_ref().map(|_| "..."))
            .field("every", &self.every)
            .field("queue", &self.queue)
            .field("names", &self.names)
            .field("command", &self.command)
            .finish()
    }
}
