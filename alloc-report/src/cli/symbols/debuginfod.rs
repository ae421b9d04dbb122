//! [`Servers`]: debug files from the debuginfod servers in `DEBUGINFOD_URLS`.
//!
//! The protocol is `GET URL/buildid/ID/debuginfo`, and `executable` for the program itself. A
//! downloaded file stays in a cache with the layout of elfutils' client, `ID/debuginfo`, and is
//! never fetched again. <https://sourceware.org/elfutils/Debuginfod.html>

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ureq::Agent;

/// The default of `DEBUGINFOD_TIMEOUT`: how many seconds a server may take to answer.
const TIMEOUT: u64 = 90;

pub(crate) struct Servers {
    urls: Vec<String>,
    cache: PathBuf,
    agent: Agent,
}

impl Servers {
    /// The servers in `DEBUGINFOD_URLS`; `None` without any.
    pub(crate) fn from_environment() -> Option<Servers> {
        let variable = |name: &str| std::env::var(name).ok().filter(|it| !it.is_empty());
        let urls = variable("DEBUGINFOD_URLS")?;
        let cache = variable("DEBUGINFOD_CACHE_PATH").map(PathBuf::from);
        let below = |name: &str, rest: &str| variable(name).map(|it| PathBuf::from(it).join(rest));
        let cache = cache
            .or_else(|| below("XDG_CACHE_HOME", "alloc-report"))
            .or_else(|| below("HOME", ".cache/alloc-report"))?;
        let seconds = variable("DEBUGINFOD_TIMEOUT").and_then(|it| it.parse().ok());
        let urls = urls.split_whitespace();
        Some(Servers {
            urls: urls.map(|it| it.trim_end_matches('/').to_owned()).collect(),
            cache,
            agent: Agent::config_builder()
                .timeout_connect(Some(Duration::from_secs(10)))
                .timeout_recv_response(Some(Duration::from_secs(seconds.unwrap_or(TIMEOUT))))
                .build()
                .into(),
        })
    }

    /// Fetches the debug file of a build id, or else the program itself.
    ///
    /// Errors of a server are printed to standard error.
    pub(crate) fn fetch(&self, build_id: &[u8]) -> Option<PathBuf> {
        let id = hexadecimal(build_id);
        ["debuginfo", "executable"].into_iter().find_map(|kind| {
            let kept = self.cache.join(&id).join(kind);
            if kept.is_file() {
                return Some(kept);
            }
            let fetched = self.urls.iter().any(|url| {
                let url = format!("{url}/buildid/{id}/{kind}");
                match self.get(&url, build_id, &kept) {
                    Ok(found) => found,
                    Err(error) => {
                        anstream::eprintln!("alloc-report: cannot fetch {url}: {error}");
                        false
                    }
                }
            });
            fetched.then_some(kept)
        })
    }

    /// Downloads `url` to `place`. Returns `false` if the server does not have the file.
    fn get(
        &self,
        url: &str,
        build_id: &[u8],
        place: &Path,
    ) -> Result<bool, Box<dyn std::error::Error>> {
        if url.starts_with("https:") && cfg!(not(feature = "https")) {
            return Err("this build has no TLS: install alloc-report with --features https".into());
        }
        let mut response = match self.agent.get(url).call() {
            Ok(response) => response,
            Err(ureq::Error::StatusCode(404)) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let folder = place.parent().unwrap_or(place);
        fs::create_dir_all(folder)?;
        // Renamed when complete, so that another process never sees a partial file.
        let part = place.with_extension(format!("{}.part", std::process::id()));
        let written = File::create(&part).and_then(|mut file| {
            io::copy(&mut response.body_mut().as_reader(), &mut file)?;
            let found = alloc_core_symbols::build_id(&part);
            if found.as_deref() != Some(build_id) {
                let found = found.map_or_else(|| "none".to_owned(), |it| hexadecimal(&it));
                let expected = hexadecimal(build_id);
                let wrong = format!("expected build id {expected}, found {found}");
                return Err(io::Error::other(wrong));
            }
            fs::rename(&part, place)
        });
        if written.is_err() {
            let _ = fs::remove_file(&part);
        }
        written?;
        Ok(true)
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
