//! What the environment asks to serve and to push, from the program's start.
//!
//! In: `ALLOC_TRACE_SERVE`, `ALLOC_TRACE_SERVE_TOKEN` and `ALLOC_TRACE_PUSH`. Out: a thread, or a message on
//! standard error. Never: the end of the program.

use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::system::hooks;

const SERVE: &CStr = c"ALLOC_TRACE_SERVE";
const PUSH: &CStr = c"ALLOC_TRACE_PUSH";

/// Reads the variables and starts what they ask for. Does not allocate.
///
/// Called by the first allocation, before `main`, with no lock held.
pub(crate) fn begin() {
    static HAS_BEGUN: AtomicBool = AtomicBool::new(false);
    // Relaxed: it publishes nothing.
    if HAS_BEGUN.swap(true, Ordering::Relaxed) {
        return;
    }
    let has_feature = [
        (SERVE, cfg!(feature = "serve"), "serve"),
        (PUSH, cfg!(feature = "push"), "push"),
    ];
    for (name, is_there, feature) in has_feature {
        if !is_there && value(name).is_some() {
            complain(
                name,
                &[
                    "expected the feature \"",
                    feature,
                    "\" of alloc-core, which this program is built without",
                ],
            );
        }
    }
    #[cfg(feature = "serve")]
    with_feature::begin();
}

/// The value of a variable, unless it is empty.
fn value(name: &CStr) -> Option<&'static CStr> {
    hooks::environment(name).filter(|it| !it.is_empty())
}

/// Writes what is wrong with a variable to standard error.
fn complain(name: &CStr, message: &[&str]) {
    hooks::write_to_stderr(&["alloc-core: ", name.to_str().unwrap_or_default(), ": "]);
    hooks::write_to_stderr(message);
    hooks::write_to_stderr(&["\n"]);
}

#[cfg(feature = "serve")]
mod with_feature {
    use std::sync::{Mutex, PoisonError};

    use super::*;
    use crate::environment::background;
    use crate::snapshot::file::{NoMemory, Pages};
    use crate::{Error, ServeOptions};

    const TOKEN: &CStr = c"ALLOC_TRACE_SERVE_TOKEN";

    /// The values, copied: the program may change its environment.
    struct Order {
        serve: Option<Pages<u8>>,
        token: Option<Pages<u8>>,
        #[cfg(feature = "push")]
        push: Option<Pages<u8>>,
    }

    /// From the first allocation to the thread.
    static ORDER: Mutex<Option<Order>> = Mutex::new(None);

    pub(super) fn begin() {
        let is_asked = value(SERVE).is_some() || (cfg!(feature = "push") && value(PUSH).is_some());
        if !is_asked {
            return;
        }
        match Order::read() {
            // NOTE: nobody waits: the thread that takes it starts below.
            Ok(order) => *ORDER.lock().unwrap_or_else(PoisonError::into_inner) = Some(order),
            Err(NoMemory) => return complain(SERVE, &["the system gave no memory for it"]),
        }
        if !background::serve(run) {
            complain(SERVE, &["the system refused a thread"]);
        }
    }

    impl Order {
        fn read() -> Result<Order, NoMemory> {
            Ok(Order {
                serve: copied(SERVE)?,
                token: copied(TOKEN)?,
                #[cfg(feature = "push")]
                push: copied(PUSH)?,
            })
        }
    }

    fn copied(name: &CStr) -> Result<Option<Pages<u8>>, NoMemory> {
        let Some(value) = value(name) else {
            return Ok(None);
        };
        let mut copy = Pages::new();
        copy.extend(value.to_bytes())?;
        Ok(Some(copy))
    }

    /// Starts what is ordered, on a thread of the tracer that may allocate.
    fn run() {
        let order = ORDER.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(order) = order else {
            return;
        };
        if let Some(address) = &order.serve
            && let Err(error) = serve(address, order.token.as_deref())
        {
            complain(SERVE, &[&error.to_string()]);
        }
        #[cfg(feature = "push")]
        if let Some(url) = &order.push
            && let Err(error) = push(url)
        {
            complain(PUSH, &[&error.to_string()]);
        }
    }

    fn serve(address: &[u8], token: Option<&[u8]>) -> Result<(), Error> {
        let mut options = ServeOptions::default();
        if let Some(token) = token {
            options = options.token(text("a token in UTF-8", token)?);
        }
        let address = text("an address in UTF-8", address)?;
        let server = crate::serve_with(address, &options)?;
        hooks::write_to_stderr(&["alloc-core: serving at ", &server.to_string(), "\n"]);
        server.detach();
        Ok(())
    }

    #[cfg(feature = "push")]
    fn push(url: &[u8]) -> Result<(), Error> {
        let url = text("a URL in UTF-8", url)?;
        crate::push::PushOptions::pyroscope(url).start()?.detach();
        Ok(())
    }

    fn text<'a>(expected: &'static str, bytes: &'a [u8]) -> Result<&'a str, Error> {
        str::from_utf8(bytes).map_err(|_| Error::unexpected(expected, "found other bytes"))
    }
}
