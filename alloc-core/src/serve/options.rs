//! [`ServeOptions`]: how profiles are served.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// How to serve profiles: passed to [`serve_with`](crate::serve_with).
///
/// ```
/// use alloc_core::ServeOptions;
///
/// let options = ServeOptions::default().names(true).command("/opt/bin/alloc-report");
/// ```
#[derive(Clone)]
pub struct ServeOptions {
    pub(super) token: Option<String>,
    pub(super) names: bool,
    pub(super) command: OsString,
    pub(super) callsites: usize,
    pub(super) read_only: bool,
    pub(super) socket_mode: u32,
}

impl Default for ServeOptions {
    fn default() -> ServeOptions {
        ServeOptions {
            token: None,
            names: false,
            command: "alloc-report".into(),
            callsites: 20,
            read_only: false,
            socket_mode: 0o600,
        }
    }
}

impl ServeOptions {
    /// Requires a token of each request: see [who may ask](mod@crate::serve#who-may-ask). An empty
    /// one is no token. The default is none.
    ///
    /// ```
    /// use alloc_core::ServeOptions;
    ///
    /// let options = ServeOptions::default().token("hunter2");
    /// // The token is a secret.
    /// assert!(!format!("{options:?}").contains("hunter2"));
    /// ```
    pub fn token(mut self, token: impl Into<String>) -> ServeOptions {
        let token: String = token.into();
        self.token = Some(token).filter(|it| !it.is_empty());
        self
    }

    /// Whether profiles have functions, files and lines unless the request says `names=0`: see
    /// [names](mod@crate::serve#names). The default is not to.
    ///
    /// ```
    /// # use alloc_core::ServeOptions;
    /// let options = ServeOptions::default().names(true);
    /// ```
    pub fn names(mut self, named: bool) -> ServeOptions {
        self.names = named;
        self
    }

    /// The command that makes pages and looks up names. The default is `alloc-report`, found in
    /// `PATH`.
    ///
    /// ```
    /// # use alloc_core::ServeOptions;
    /// let options = ServeOptions::default().command("/opt/bin/alloc-report");
    /// ```
    pub fn command(mut self, command: impl Into<PathBuf>) -> ServeOptions {
        self.command = command.into().into();
        self
    }

    /// How many callsites have a number of their own in `/metrics`: those that hold the most. The bytes of
    /// all others are in one row, `<others>`, so that the sum of the rows is the heap's size. The default
    /// is 20.
    ///
    /// The [command](ServeOptions::command) looks up their names when they first appear, every 10 seconds
    /// at most. Until a callsite has a name, its bytes are among the others. With 0 there are no rows, and
    /// no command is started.
    ///
    /// ```
    /// use alloc_core::ServeOptions;
    /// use alloc_core::serve::Endpoint;
    ///
    /// let endpoint = Endpoint::new(&ServeOptions::default().callsites(0));
    /// let metrics = endpoint.get("/metrics", "").into_bytes()?;
    /// assert!(!String::from_utf8(metrics)?.contains("alloc_trace_callsite_bytes"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn callsites(mut self, most: usize) -> ServeOptions {
        self.callsites = most;
        self
    }

    /// Refuses `/start` and `/stop`. The default is to accept them.
    ///
    /// ```
    /// use alloc_core::ServeOptions;
    /// use alloc_core::serve::Endpoint;
    ///
    /// let endpoint = Endpoint::new(&ServeOptions::default().read_only(true));
    /// assert_eq!(endpoint.post("/stop", "").status(), 403);
    /// ```
    pub fn read_only(mut self, refused: bool) -> ServeOptions {
        self.read_only = refused;
        self
    }

    /// The permissions of a Unix socket. The default is `0o600`: only the owner of the process.
    ///
    /// ```
    /// # use alloc_core::ServeOptions;
    /// let group_too = ServeOptions::default().socket_mode(0o660);
    /// ```
    pub fn socket_mode(mut self, mode: u32) -> ServeOptions {
        self.socket_mode = mode & 0o777;
        self
    }
}

impl fmt::Debug for ServeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServeOptions")
            .field("token", &self.token.as_ref().map(|_| "..."))
            .field("names", &self.names)
            .field("command", &self.command)
            .field("callsites", &self.callsites)
            .field("read_only", &self.read_only)
            .field("socket_mode", &format_args!("{:#o}", self.socket_mode))
            .finish()
    }
}
