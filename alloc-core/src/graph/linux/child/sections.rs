//! The sections about the process: modules, threads, callsites and facts.

use super::index::Index;
use super::mappings::{Mappings, slice};
use super::output::Output;
use super::{Task, files};
use crate::control;
use crate::graph::linux::format::{Fact, Tag};
use crate::graph::linux::machine::{RegisterPlaces, Registers, control_block, thread_pointer};
use crate::graph::linux::modules::Module;
use crate::graph::linux::threads;
use crate::record::session::TABLES;
use crate::record::settings;
use crate::snapshot::numbers::Amount;
use crate::system::arena::Zeroed;
use crate::system::sync::Ordering::Relaxed;
use crate::tables::callsites::{Callsite, CallsiteId};

/// Flags of a thread.
const TOOK_THE_GRAPH: u64 = 1;
const ON_ANOTHER_STACK: u64 = 2;
const DID_NOT_STOP: u64 = 4;

/// The most frames of a thread that are written.
const MOST_FRAMES: usize = 256;

pub(super) fn modules(modules: &[Module], output: &mut Output) {
    output.section(Tag::Modules);
    output.number(modules.len() as u64);
    for module in modules {
        output.number(module.bias as u64);
        output.text(&module.path);
        output.number(module.writable.len() as u64);
        for (start, end) in &module.writable {
            output.number(*start as u64);
            output.number((end - start) as u64);
        }
        output.number((module.tls_offset as u64).wrapping_neg());
        output.number(module.tls_size as u64);
    }
}

/// The memory of a thread that is scanned.
#[derive(Clone, Copy)]
pub(super) struct ThreadRanges {
    pub(super) registers: RegisterPlaces,
    /// What is in use of the stack it is on, and all of its own stack if that is another.
    pub(super) stacks: [(usize, usize); 2],
    /// Its own stack, with what is not in use.
    pub(super) whole_stack: (usize, usize),
    pub(super) locals: (usize, usize),
}

// SAFETY: integers, for which zero is a valid value.
unsafe impl Zeroed for ThreadRanges {}

/// A thread, as far as it is known.
struct Thread<'a> {
    id: libc::pid_t,
    flags: u64,
    sp: usize,
    thread_pointer: usize,
    registers: Option<&'a Registers>,
    of_registers: RegisterPlaces,
}

/// Writes all threads, the calling one first. Returns their memory. `None` if there is no memory.
pub(super) fn threads(
    task: &Task<'_>,
    mappings: &Mappings,
    index: &Index<'_>,
    output: &mut Output,
) -> Option<&'static [ThreadRanges]> {
    output.section(Tag::Threads);
    let (stopped, missed) = (threads::stopped().count(), threads::missed().count());
    task.report.threads.store(stopped as u64, Relaxed);
    task.report.threads_missed.store(missed as u64, Relaxed);
    let ranges = slice::<ThreadRanges>(1 + stopped + missed)?;
    output.number(ranges.len() as u64);
    let own = task.registers.values().as_ptr_range();
    let mut write = |at: usize, thread: &Thread<'_>| {
        ranges[at] = ranges_of(thread, task, mappings, index);
        write_thread(thread, &ranges[at], task, output);
    };
    let mut of_registers = RegisterPlaces::default();
    of_registers[0] = (own.start.addr(), own.end.addr());
    write(
        0,
        &Thread {
            id: task.thread,
            flags: TOOK_THE_GRAPH,
            sp: task.registers.sp(),
            thread_pointer: thread_pointer(),
            registers: Some(&task.registers),
            of_registers,
        },
    );
    for (at, (id, stopped)) in threads::stopped().enumerate() {
        let context = stopped.context.load(Relaxed) as *const libc::ucontext_t;
        // SAFETY: the handler noted where its context is, and stands still below it.
        let context = unsafe { &*context };
        let registers = Registers::of(context);
        write(
            1 + at,
            &Thread {
                id,
                flags: 0,
                sp: registers.sp().wrapping_sub(Registers::RED_ZONE),
                thread_pointer: stopped.thread_pointer.load(Relaxed),
                registers: Some(&registers),
                of_registers: Registers::places(context),
            },
        );
    }
    for (at, id) in threads::missed().enumerate() {
        let thread = Thread {
            id,
            flags: DID_NOT_STOP,
            sp: sp_of(task.process, id).unwrap_or(0),
            thread_pointer: 0,
            registers: None,
            of_registers: RegisterPlaces::default(),
        };
        write(1 + stopped + at, &thread);
    }
    Some(ranges)
}

/// What is to be scanned of a thread.
fn ranges_of(
    thread: &Thread<'_>,
    task: &Task<'_>,
    mappings: &Mappings,
    index: &Index<'_>,
) -> ThreadRanges {
    let pointer = thread.thread_pointer;
    let locals = if pointer == 0 {
        (0, 0)
    } else {
        locals(pointer, task.modules, mappings)
    };
    // Its own stack: the C library puts thread-locals at the end of it, but not of the first.
    let home = if thread.id == task.process {
        mappings
            .iter()
            .find(|it| it.is_main_stack)
            .map(|it| (it.start, it.end))
    } else {
        mappings.at(locals.0).map(|it| (it.start, locals.0))
    };
    let home = home.unwrap_or((0, 0));
    let sp = thread.sp & !7;
    let is_home = (home.0..home.1).contains(&sp);
    let stacks = if is_home {
        [(sp, home.1), (0, 0)]
    } else {
        let end = match index.find(sp) {
            Some(place) => index.blocks().end(place.block),
            None => mappings.at(sp).map_or(sp, |it| it.end),
        };
        [(sp, end), home]
    };
    ThreadRanges {
        registers: thread.of_registers,
        stacks,
        whole_stack: home,
        locals,
    }
}

/// The thread-locals at fixed distances from the thread pointer, and the C library's control block.
fn locals(pointer: usize, modules: &[Module], mappings: &Mappings) -> (usize, usize) {
    let mapped = mappings.at(pointer).map_or((0, 0), |it| (it.start, it.end));
    let (mut start, mut end) = control_block(pointer);
    for module in modules.iter().filter(|it| it.tls_size > 0) {
        let from = pointer.wrapping_add_signed(module.tls_offset);
        start = start.min(from);
        end = end.max(from + module.tls_size);
    }
    (start.max(mapped.0), end.min(mapped.1))
}

fn write_thread(thread: &Thread<'_>, ranges: &ThreadRanges, task: &Task<'_>, output: &mut Output) {
    let is_away = ranges.stacks[1].1 != 0;
    let [(low, high), _] = ranges.stacks;
    let mut name = [0; 16];
    output.number(thread.id as u64);
    output.text(name_of(task.process, thread.id, &mut name));
    output.number(thread.flags | if is_away { ON_ANOTHER_STACK } else { 0 });
    let start = if is_away { low } else { ranges.whole_stack.0 };
    output.number(start as u64);
    output.number(high.saturating_sub(start) as u64);
    output.number(low as u64);
    output.number(thread.thread_pointer as u64);

    let mut frames = [(0, 0); MOST_FRAMES];
    let (mut len, mut last) = (0, low);
    if let Some(registers) = thread.registers {
        registers.unwind(low, high, |pc, cfa| {
            let is_next = cfa >= last && len < MOST_FRAMES;
            if is_next {
                frames[len] = (pc, cfa - last);
                (len, last) = (len + 1, cfa);
            }
            is_next
        });
    }
    output.number(len as u64);
    for (pc, size) in &frames[..len] {
        output.number(*pc as u64);
        output.number(*size as u64);
    }
}

/// Writes the live bytes and blocks of each callsite. Returns their sum.
pub(super) fn callsites(output: &mut Output) -> Amount {
    output.section(Tag::Callsites);
    let mut live = Amount::default();
    let (epoch, rising) = (TABLES.epoch(), control::is_rising());
    // NOTE: memory that the program tracks itself is not in blocks.
    let of_heap = |it: &(CallsiteId, &Callsite)| it.1.tag().domain == 0;
    for (id, callsite) in TABLES.callsites.iter().filter(of_heap) {
        let cells = || TABLES.threads.iter().filter_map(|state| state.delta(id));
        let current = callsite.shared.sum(cells, epoch, rising).current;
        if current.blocks > 0 {
            output.number(id.get().into());
            output.number(current.blocks);
            output.number(current.bytes.get());
            live += current;
        }
    }
    live
}

/// Writes what is known of the whole.
pub(super) fn facts(task: &Task<'_>, live: Amount, output: &mut Output) {
    output.section(Tag::Facts);
    let mut fact = |fact: Fact, value: u64| {
        output.number(fact as u64);
        output.number(value);
    };
    fact(Fact::Process, task.process as u64);
    fact(Fact::Granule, 1 << task.granule.bits());
    fact(Fact::HasExactSizes, settings::keeps_origins().into());
    fact(Fact::HasHashes, task.key.is_some().into());
    fact(Fact::LiveBytes, live.bytes.get());
    fact(Fact::LiveBlocks, live.blocks);
}

/// The name of a thread, by the system.
fn name_of(process: libc::pid_t, thread: libc::pid_t, place: &mut [u8; 16]) -> &[u8] {
    let mut len = 0;
    files::read_of_thread((process, thread), b"comm", |byte| {
        if byte != b'\n' && len < place.len() {
            place[len] = byte;
            len += 1;
        }
    });
    &place[..len]
}

/// The stack pointer of a thread that waits in a system call, by the system.
fn sp_of(process: libc::pid_t, thread: libc::pid_t) -> Option<usize> {
    // Numbers with spaces between them, of which the last but one is the stack pointer.
    let (mut last, mut number) = (0, 0_usize);
    let mut is_hex = false;
    files::read_of_thread((process, thread), b"syscall", |byte| match byte {
        b' ' => (last, number, is_hex) = (number, 0, false),
        b'x' => (number, is_hex) = (0, true),
        _ => {
            let digit = char::from(byte).to_digit(16);
            number = number << 4 | digit.filter(|_| is_hex).unwrap_or(0) as usize;
        }
    });
    (last != 0).then_some(last)
}
