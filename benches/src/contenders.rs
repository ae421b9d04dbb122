//! The table of contenders: every program that takes part, and the build and settings of each.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::contender::{MODE, Outcome, Task};
use crate::latency;

/// A program of `contenders/` in one build and with one setting.
#[derive(Clone, Debug)]
pub struct Contender {
    /// Its name in the tables on the terminal.
    pub name: &'static str,
    /// Its name in the tables of the README, where nothing around it explains it.
    pub label: String,
    /// The name of the contender it is compared with; its own if others are compared with it.
    pub against: &'static str,
    /// The feature that adds it; `None` for those that always take part.
    pub feature: Option<&'static str>,
    /// How it is built.
    pub build: Build,
    /// Its program, without the prefix `bench-`.
    pub program: &'static str,
    /// What is set in its environment.
    pub environment: Vec<(&'static str, OsString)>,
}

/// How a program is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// As Cargo builds it.
    Ordinary,
    /// With frame pointers. Its contenders are compared with a bare program of the same build.
    FramePointers,
}

impl Build {
    /// The contender that others of this build are compared with by default.
    pub fn bare(self) -> &'static str {
        match self {
            Build::Ordinary => "bare",
            Build::FramePointers => "bare, frame pointers",
        }
    }
}

/// The folders with the programs of each build.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The programs that Cargo built for the bench.
    pub ordinary: PathBuf,
    /// The programs of the second build, if a contender needs it.
    pub frame_pointers: Option<PathBuf>,
}

/// All contenders of this build of the harness, in the order of the tables: this project's settings
/// first, then its peers.
///
/// `frame_pointers` adds this project's contenders with frame pointers. A peer that needs frame
/// pointers adds them too, because it is compared with the same bare program.
pub fn contenders(frame_pointers: bool) -> Vec<Contender> {
    let mut all = ours();
    let peers = peers();
    let needed = peers.iter().any(|peer| peer.build == Build::FramePointers);
    if frame_pointers || needed {
        all.extend(ours_with_frame_pointers());
    }
    all.extend(peers);
    all
}

/// The order of the runs: pairs of a round and a contender's index.
///
/// Each round begins with another contender, so that a machine that slows down in between slows
/// down all of them alike.
pub fn turns(rounds: usize, contenders: usize) -> impl Iterator<Item = (usize, usize)> {
    let places = move |round| (0..contenders).map(move |turn| (round, (round + turn) % contenders));
    (0..rounds).flat_map(places)
}

/// The name and version of the installed heaptrack.
pub fn heaptrack_version() -> Option<String> {
    let output = Command::new("heaptrack").arg("--version").output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

impl Contender {
    /// Runs it with this task and waits for it.
    ///
    /// # Errors
    ///
    /// If its build is missing, or [`Task::run`] fails.
    pub fn run(&self, programs: &Programs, task: &Task) -> Result<Outcome, Box<dyn Error>> {
        task.run(&programs.path(self.build, self.program)?, &self.environment)
    }

    /// Runs it with this latency task and waits for it.
    ///
    /// # Errors
    ///
    /// If its build is missing, or [`latency::Task::run`] fails.
    pub fn run_latency(
        &self,
        programs: &Programs,
        task: latency::Task,
    ) -> Result<Outcome, Box<dyn Error>> {
        task.run(&programs.path(self.build, self.program)?, &self.environment)
    }

    /// Whether others are compared with it.
    pub fn is_base(&self) -> bool {
        self.against == self.name
    }

    /// Whether the tracer is started in it, so that a snapshot can be taken.
    pub fn is_traced(&self) -> bool {
        ["traced", "mimalloc-traced"].contains(&self.program)
    }
}

impl Programs {
    /// The programs of this build, which are in the folder of the bare one.
    ///
    /// # Errors
    ///
    /// A message if `bare` is no path to a program in a folder.
    pub fn next_to(bare: &Path) -> Result<Programs, &'static str> {
        let folder = bare.parent().ok_or("expected a program in a folder")?;
        Ok(Programs {
            ordinary: folder.to_owned(),
            frame_pointers: None,
        })
    }

    /// The path of a program of this build.
    ///
    /// # Errors
    ///
    /// If there is no such build.
    pub fn path(&self, build: Build, program: &str) -> Result<PathBuf, Box<dyn Error>> {
        let folder = match build {
            Build::Ordinary => Some(&self.ordinary),
            Build::FramePointers => self.frame_pointers.as_ref(),
        };
        let folder = folder
            .ok_or_else(|| format!("expected a build of bench-{program} with frame pointers"))?;
        Ok(folder.join(format!("bench-{program}{}", env::consts::EXE_SUFFIX)))
    }
}

fn ours() -> Vec<Contender> {
    vec![
        Contender::new("bare", "bare"),
        ours_with("stopped", "never started").program("stopped"),
        ours_with("counters", "counters only").set(MODE, "counters"),
        ours_with("sampled", "sampled at 512 KiB").set(MODE, "sampled"),
        ours_with("one line", "one line").set(MODE, "line"),
        ours_with("traced", "32 frames"),
        ours_with("128", "128 frames").set(MODE, "128"),
        ours_with("sizes", "32 frames and sizes").set(MODE, "sizes"),
        ours_with("lifetimes", "32 frames and lifetimes").set(MODE, "lifetimes"),
        ours_with("frees", "32 frames and frees").set(MODE, "frees"),
        ours_with("exact graph", "32 frames, exact sizes and times").set(MODE, "exact graph"),
    ]
}

fn ours_with_frame_pointers() -> Vec<Contender> {
    let traced = ours_with("traced, frame pointers", "32 frames, frame pointers");
    vec![
        Contender::new(Build::FramePointers.bare(), "bare").with_frame_pointers(),
        traced.with_frame_pointers(),
    ]
}

fn peers() -> Vec<Contender> {
    let mut peers = Vec::new();
    if cfg!(feature = "stats_alloc") {
        peers.push(peer("stats_alloc"));
    }
    if cfg!(feature = "divan") {
        peers.push(peer("divan").label("divan's AllocProfiler"));
    }
    if cfg!(feature = "dhat") {
        peers.push(peer("dhat").label("dhat, 32 frames"));
    }
    if cfg!(feature = "heaptrack") {
        peers.extend(heaptrack());
    }
    if cfg!(feature = "heapscope") {
        // It walks by frame pointers, and refuses to start without them.
        let heapscope = |name: &'static str| {
            let contender = peer("heapscope").name(name).with_frame_pointers();
            contender.label(&format!("{name}, frame pointers"))
        };
        peers.extend([
            heapscope("heapscope, sampled").set(MODE, "sampled"),
            heapscope("heapscope, exact"),
        ]);
    }
    if cfg!(feature = "jemalloc") {
        let jemalloc = |name, settings| {
            let contender = peer("jemalloc").name(name).against("jemalloc");
            contender.set("_RJEM_MALLOC_CONF", settings)
        };
        peers.extend([
            jemalloc("jemalloc", "prof:false"),
            jemalloc("jemalloc, sampled", "prof:true"),
            jemalloc("jemalloc, exact", "prof:true,lg_prof_sample:0"),
        ]);
    }
    if cfg!(feature = "mimalloc") {
        let traced = ours_with("mimalloc, traced", "32 frames, around mimalloc");
        let traced = traced.of_feature("mimalloc").program("mimalloc-traced");
        // mimalloc asks the system for huge pages and waits for them: the same program took 86 ms
        // in one run and 350 ms in another.
        let without_huge_pages = |contender: Contender| {
            let contender = contender.against("mimalloc");
            contender.set("MIMALLOC_ALLOW_THP", "0")
        };
        peers.extend([peer("mimalloc"), traced].map(without_huge_pages));
    }
    peers
}

/// The bare program with heaptrack's library loaded into it and its output discarded: the part of
/// heaptrack that the program waits for.
fn heaptrack() -> Option<Contender> {
    let Some(library) = heaptrack_library() else {
        eprintln!("skipped: heaptrack is not in PATH (Debian: apt-get install heaptrack)");
        return None;
    };
    let contender = peer("heaptrack").label("heaptrack, its part in the process");
    let contender = contender.program("bare").set("LD_PRELOAD", library);
    Some(contender.set("DUMP_HEAPTRACK_OUTPUT", "/dev/null"))
}

/// The library that the script `heaptrack` loads, found the way the script finds it.
fn heaptrack_library() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let mut scripts =
        env::split_paths(&path).filter_map(|folder| folder.join("heaptrack").canonicalize().ok());
    let folder = scripts.next()?.parent()?.to_owned();
    let library = folder.join("../lib/heaptrack/libheaptrack_preload.so");
    library.canonicalize().ok()
}

/// A contender of this project: `bench-traced` with one setting.
fn ours_with(name: &'static str, setting: &str) -> Contender {
    Contender::new(name, "traced").label(&format!("alloc-core, {setting}"))
}

/// A peer whose feature and program have its name.
fn peer(name: &'static str) -> Contender {
    Contender::new(name, name).of_feature(name)
}

/// The builder: each method changes one field.
impl Contender {
    pub(crate) fn new(name: &'static str, program: &'static str) -> Contender {
        Contender {
            name,
            label: name.to_owned(),
            against: Build::Ordinary.bare(),
            feature: None,
            build: Build::Ordinary,
            program,
            environment: Vec::new(),
        }
    }

    fn name(self, name: &'static str) -> Contender {
        let label = name.to_owned();
        Contender {
            name,
            label,
            ..self
        }
    }

    pub(crate) fn label(self, label: &str) -> Contender {
        let label = label.to_owned();
        Contender { label, ..self }
    }

    fn program(self, program: &'static str) -> Contender {
        Contender { program, ..self }
    }

    pub(crate) fn against(self, against: &'static str) -> Contender {
        Contender { against, ..self }
    }

    fn of_feature(self, feature: &'static str) -> Contender {
        let feature = Some(feature);
        Contender { feature, ..self }
    }

    fn set(mut self, variable: &'static str, value: impl Into<OsString>) -> Contender {
        self.environment.push((variable, value.into()));
        self
    }

    pub(crate) fn with_frame_pointers(self) -> Contender {
        Contender {
            build: Build::FramePointers,
            against: Build::FramePointers.bare(),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_contender_is_compared_with_a_base_of_its_build() {
        let all = contenders(true);
        for contender in &all {
            let base = all.iter().find(|other| other.name == contender.against);
            let base = base.unwrap_or_else(|| panic!("{}: {}", contender.name, contender.against));
            assert!(base.is_base(), "{}", base.name);
            assert_eq!(base.build, contender.build, "{}", contender.name);
        }
    }

    #[test]
    fn names_and_labels_are_unique() {
        let all = contenders(true);
        let names: HashSet<_> = all.iter().map(|contender| contender.name).collect();
        let labels: HashSet<_> = all
            .iter()
            .map(|contender| contender.label.as_str())
            .collect();
        assert_eq!((names.len(), labels.len()), (all.len(), all.len()));
    }

    #[test]
    fn each_round_begins_with_another_contender() {
        let turns: Vec<_> = turns(2, 3).collect();
        assert_eq!(turns, [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (1, 0)]);
        assert_eq!(super::turns(2, 0).count(), 0);
    }

    #[test]
    fn a_program_is_in_the_folder_of_its_build() {
        let programs = Programs {
            ordinary: PathBuf::from("release"),
            frame_pointers: None,
        };
        let path = programs.path(Build::Ordinary, "bare").expect("it is built");
        assert!(path.starts_with("release"), "{path:?}");
        let error = programs
            .path(Build::FramePointers, "bare")
            .expect_err("there is no such build");
        assert_eq!(
            error.to_string(),
            "expected a build of bench-bare with frame pointers"
        );
    }
}
