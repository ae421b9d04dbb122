//! Who takes part.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use Records::{Counts, Everything, Nothing, Samples};

use crate::contender::{MODE, Outcome, Task};

/// One program of `contenders/`, in one build, under one setting.
#[derive(Clone, Debug)]
pub struct Contender {
    /// Its name in the tables.
    pub name: &'static str,
    /// Its name where it stands without the tables' explanations: in the README and in the picture.
    pub label: String,
    /// Whether it is this project's, and not a peer.
    pub ours: bool,
    /// What it records: only those that record the same are comparable.
    pub records: Records,
    /// The contender it is compared with; itself, if others are compared with it.
    pub against: &'static str,
    /// The feature that it comes with, if it is not there always.
    pub feature: Option<&'static str>,
    /// How it is built.
    pub build: Build,
    /// Its program: `bench-` and this.
    pub program: &'static str,
    /// What is set in its environment.
    pub environment: Vec<(&'static str, OsString)>,
}

/// What a contender records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Records {
    /// Nothing at all.
    Nothing,
    /// How much, and not where.
    Counts,
    /// The stacks of some allocations.
    Samples,
    /// The stack of every allocation, or the innermost line of it.
    Everything,
}

/// How a program is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// As Cargo builds it.
    Ordinary,
    /// With frame pointers. Its contenders are compared with one of the same build.
    FramePointers,
}

impl Build {
    /// The contender that others of this build are compared with, unless they say otherwise.
    pub fn bare(self) -> &'static str {
        match self {
            Build::Ordinary => "bare",
            Build::FramePointers => "bare, frame pointers",
        }
    }
}

/// The folders that the programs of each build lie in.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Those that Cargo built for the bench.
    pub ordinary: PathBuf,
    /// Those that the harness had built, if a contender needs them.
    pub frame_pointers: Option<PathBuf>,
}

/// All that take part in this build of the harness, in the order of the tables: this project's with
/// one setting after the other, then its peers.
///
/// `frame_pointers` asks for this project's own with frame pointers; they come too where a peer
/// needs frame pointers, because that peer is compared with the same bare program.
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

/// Whose turn it is, round after round: the round, and the place among so many contenders.
///
/// Each round begins with another, so that a machine that grows slower or faster does so for all of
/// them alike.
pub fn turns(rounds: usize, contenders: usize) -> impl Iterator<Item = (usize, usize)> {
    let places = move |round| (0..contenders).map(move |turn| (round, (round + turn) % contenders));
    (0..rounds).flat_map(places)
}

/// What heaptrack calls itself, if there is one.
pub fn heaptrack_version() -> Option<String> {
    let output = Command::new("heaptrack").arg("--version").output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

impl Contender {
    /// Runs it with this task and waits for it.
    ///
    /// # Errors
    ///
    /// As [`Task::run`], or if its build is not there.
    pub fn run(&self, programs: &Programs, task: &Task) -> Result<Outcome, Box<dyn Error>> {
        task.run(&programs.path(self.build, self.program)?, &self.environment)
    }

    /// Whether others are compared with it.
    pub fn is_base(&self) -> bool {
        self.against == self.name
    }
}

impl Programs {
    /// Where a program of this build lies.
    ///
    /// # Errors
    ///
    /// If nobody built it.
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
        Contender::new("bare", "bare", Nothing),
        ours_with("stopped", "never started", Nothing).program("stopped"),
        ours_with("counters", "counters only", Counts).set(MODE, "counters"),
        ours_with("sampled", "sampled at 512 KiB", Samples).set(MODE, "sampled"),
        ours_with("one line", "one line", Everything).set(MODE, "line"),
        ours_with("traced", "32 frames", Everything),
        ours_with("128", "128 frames", Everything).set(MODE, "128"),
    ]
}

fn ours_with_frame_pointers() -> Vec<Contender> {
    vec![
        Contender::new(Build::FramePointers.bare(), "bare", Nothing).with_frame_pointers(),
        ours_with(
            "traced, frame pointers",
            "32 frames, frame pointers",
            Everything,
        )
        .with_frame_pointers(),
    ]
}

fn peers() -> Vec<Contender> {
    let mut peers = Vec::new();
    if cfg!(feature = "stats_alloc") {
        peers.push(peer("stats_alloc", Counts));
    }
    if cfg!(feature = "peak_alloc") {
        peers.push(peer("peak_alloc", Counts));
    }
    if cfg!(feature = "divan") {
        peers.push(peer("divan", Counts).label("divan's AllocProfiler"));
    }
    if cfg!(feature = "dhat") {
        peers.push(peer("dhat", Everything).label("dhat, 32 frames"));
    }
    if cfg!(feature = "heaptrack") {
        peers.extend(heaptrack());
    }
    // These walk by frame pointers, and refuse or find nothing without them.
    let with_frame_pointers = |feature, name: &'static str, records| {
        let contender = peer(feature, records).name(name).with_frame_pointers();
        contender.label(&format!("{name}, frame pointers"))
    };
    if cfg!(feature = "heapscope") {
        let heapscope = |name, records| with_frame_pointers("heapscope", name, records);
        peers.extend([
            heapscope("heapscope, sampled", Samples).set(MODE, "sampled"),
            heapscope("heapscope, exact", Everything),
        ]);
    }
    if cfg!(feature = "pprof-alloc") {
        let pprof_alloc = |name, records, rate| {
            let contender = with_frame_pointers("pprof-alloc", name, records);
            contender.set("PPROF_ALLOC_SAMPLE_RATE", rate)
        };
        peers.extend([
            pprof_alloc("pprof-alloc, sampled", Samples, "524288"),
            pprof_alloc("pprof-alloc, exact", Everything, "1"),
        ]);
    }
    if cfg!(feature = "jemalloc") {
        let jemalloc = |name, records, settings| {
            let contender = peer("jemalloc", records).name(name).against("jemalloc");
            contender.set("_RJEM_MALLOC_CONF", settings)
        };
        peers.extend([
            jemalloc("jemalloc", Nothing, "prof:false"),
            jemalloc("jemalloc, sampled", Samples, "prof:true"),
            jemalloc("jemalloc, exact", Everything, "prof:true,lg_prof_sample:0"),
        ]);
    }
    if cfg!(feature = "mimalloc") {
        let traced = ours_with("mimalloc, traced", "32 frames, around mimalloc", Everything);
        let traced = traced.of_feature("mimalloc").program("mimalloc-traced");
        // It asks the system for huge pages, and waits until there are some: one program took from 86 to 350 ms.
        let without_huge_pages = |contender: Contender| {
            let contender = contender.against("mimalloc");
            contender.set("MIMALLOC_ALLOW_THP", "0")
        };
        peers.extend([peer("mimalloc", Nothing), traced].map(without_huge_pages));
    }
    peers
}

/// The bare program with heaptrack's library loaded into it, and what that writes thrown away: the
/// part of heaptrack that the program waits for.
fn heaptrack() -> Option<Contender> {
    let Some(library) = heaptrack_library() else {
        eprintln!("heaptrack sits out: it is not in PATH (Debian: apt-get install heaptrack)");
        return None;
    };
    let contender = peer("heaptrack", Everything).label("heaptrack, its part in the process");
    let contender = contender.program("bare").set("LD_PRELOAD", library);
    Some(contender.set("DUMP_HEAPTRACK_OUTPUT", "/dev/null"))
}

/// The library that the script `heaptrack` would load, found as that finds it.
fn heaptrack_library() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let mut scripts =
        env::split_paths(&path).filter_map(|folder| folder.join("heaptrack").canonicalize().ok());
    let folder = scripts.next()?.parent()?.to_owned();
    let library = folder.join("../lib/heaptrack/libheaptrack_preload.so");
    library.canonicalize().ok()
}

/// One of this project's: `bench-traced`, and what sets it apart from the others of ours.
fn ours_with(name: &'static str, setting: &str, records: Records) -> Contender {
    let contender = Contender::new(name, "traced", records);
    Contender {
        label: format!("alloc-core, {setting}"),
        ours: true,
        ..contender
    }
}

/// A peer whose feature and program are named for it.
fn peer(name: &'static str, records: Records) -> Contender {
    Contender::new(name, name, records).of_feature(name)
}

/// Settings that follow one another.
impl Contender {
    pub(crate) fn new(name: &'static str, program: &'static str, records: Records) -> Contender {
        Contender {
            name,
            label: name.to_owned(),
            ours: false,
            records,
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
    fn everyone_is_compared_with_a_base_of_the_same_build() {
        let all = contenders(true);
        for contender in &all {
            let base = all.iter().find(|other| other.name == contender.against);
            let base = base.unwrap_or_else(|| panic!("{}: {}", contender.name, contender.against));
            assert!(base.is_base(), "{}", base.name);
            assert_eq!(base.build, contender.build, "{}", contender.name);
        }
    }

    #[test]
    fn no_two_have_one_name() {
        let all = contenders(true);
        let names: HashSet<_> = all.iter().map(|contender| contender.name).collect();
        let labels: HashSet<_> = all
            .iter()
            .map(|contender| contender.label.as_str())
            .collect();
        assert_eq!((names.len(), labels.len()), (all.len(), all.len()));
    }

    #[test]
    fn each_round_begins_with_another() {
        let turns: Vec<_> = turns(2, 3).collect();
        assert_eq!(turns, [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (1, 0)]);
        assert_eq!(super::turns(2, 0).count(), 0);
    }

    #[test]
    fn a_program_lies_in_the_folder_of_its_build() {
        let programs = Programs {
            ordinary: PathBuf::from("release"),
            frame_pointers: None,
        };
        let path = programs.path(Build::Ordinary, "bare").expect("it is built");
        assert!(path.starts_with("release"), "{path:?}");
        let error = programs
            .path(Build::FramePointers, "bare")
            .expect_err("nobody built it");
        assert_eq!(
            error.to_string(),
            "expected a build of bench-bare with frame pointers"
        );
    }
}
