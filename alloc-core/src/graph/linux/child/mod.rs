//! What the clone of the process does: it reads the memory, and writes the graph.
//!
//! In: the index, and a copy of the memory that nothing changes. Out: sections of a file. Never: an
//! allocation, a lock, or a function of the C library that takes one: a thread that was stopped may
//! hold it for good.

mod blocks;
mod edges;
mod files;
mod index;
mod mappings;
mod output;
mod roots;
mod sections;
mod vtables;

use super::clone::{Report, close_all_but};
use super::machine::Registers;
use super::modules::Module;
use crate::graph::named::Named;
use crate::system::sync::Ordering::Relaxed;
use crate::tables::blocks::Granule;
use blocks::Blocks;
use index::Index;
use mappings::Mappings;
use output::Output;
use vtables::Vtables;

/// What the clone needs to know.
pub(super) struct Task<'a> {
    pub(super) file: libc::c_int,
    pub(super) report: &'a Report,
    pub(super) modules: &'a [Module],
    /// The addresses that the program named.
    pub(super) named: &'a [Named],
    pub(super) granule: Granule,
    /// The key of the hashes, if they are requested.
    pub(super) key: Option<u64>,
    /// The process, its thread that takes the graph, and the registers of that.
    pub(super) process: libc::pid_t,
    pub(super) thread: libc::pid_t,
    pub(super) registers: Registers,
}

/// Why a scan ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Memory = 1,
    Mappings = 2,
    Write = 3,
}

impl Step {
    pub(super) fn action(number: i32) -> &'static str {
        match number {
            1 => "reserve memory for its index",
            2 => "read /proc/self/maps",
            _ => "write the file",
        }
    }
}

/// Scans, and ends the process.
pub(super) fn run(task: &Task<'_>) -> ! {
    prepare(task);
    let status = match scan(task) {
        Ok(()) => 0,
        Err(step) => {
            let errno = crate::system::hooks::errno();
            task.report.errno.store(errno, Relaxed);
            task.report.step.store(step as i32, Relaxed);
            1
        }
    };
    task.report.cpu_nanoseconds.store(cpu_time(), Relaxed);
    // SAFETY: no function of the program runs, and the other threads are copies that never ran.
    unsafe { libc::syscall(libc::SYS_exit_group, status) };
    unreachable!("the process has ended")
}

/// Makes the clone end with the process, come after it, and be ended before it where memory is
/// short.
fn prepare(task: &Task<'_>) {
    close_all_but(task.file);
    // SAFETY: the arguments are numbers.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    // SAFETY: the call takes no arguments.
    if unsafe { libc::getppid() } != task.process {
        // SAFETY: as in `run`.
        unsafe { libc::syscall(libc::SYS_exit_group, 1) };
    }
    const NICE: libc::c_int = 10;
    // SAFETY: the arguments are numbers. A refusal changes nothing.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
    let no_core = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the limits are read only.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &no_core) };
    files::write(c"/proc/self/oom_score_adj", b"1000");
}

fn scan(task: &Task<'_>) -> Result<(), Step> {
    let mappings = Mappings::read().ok_or(Step::Mappings)?;
    let blocks = Blocks::collect(&mappings, task.granule).ok_or(Step::Memory)?;
    let index = Index::of(&blocks, task.granule).ok_or(Step::Memory)?;
    let mut output = Output::new(task.file).ok_or(Step::Memory)?;

    sections::modules(task.modules, &mut output);
    let threads = sections::threads(task, &mappings, &index, &mut output).ok_or(Step::Memory)?;
    let live = sections::callsites(&mut output);
    let mut vtables = Vtables::new(task.modules, &mappings);
    let edges = edges::write(&index, &mappings, task.key, &mut vtables, &mut output);
    vtables.write(&mut output);
    let roots = roots::write(task, &index, &mappings, threads, &mut output);
    sections::facts(task, live, &mut output);

    let report = task.report;
    report.blocks.store(blocks.len() as u64, Relaxed);
    report.bytes.store(live.bytes.get(), Relaxed);
    report.edges.store(edges, Relaxed);
    report.roots.store(roots, Relaxed);
    output.finish().ok_or(Step::Write)
}

/// The time on a processor that the calling thread has taken.
fn cpu_time() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` has room for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
