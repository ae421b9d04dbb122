//! The sections other than that of the nodes.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use alloc_core_snapshot::{Amount, Bytes, Error};

use super::input::Stream;
use super::nodes::{Length, Nodes};
use crate::graph::facts::{Facts, Module, StackFrame, Thread};

/// A callsite with live blocks.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::graph) struct CallsiteRow {
    pub(in crate::graph) id: u64,
    /// What was live at the stop, if the file has it.
    pub(in crate::graph) live: Option<Amount>,
    /// The index of the callsite's trace in the snapshot.
    pub(in crate::graph) trace: Option<u32>,
}

/// Where a root is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::graph) enum RootKind {
    Static,
    ThreadLocal,
    Stack,
    Register,
    Unknown,
    Named,
}

/// A pointer from outside the heap.
#[derive(Clone, Copy, Debug)]
pub(in crate::graph) struct RootRow {
    pub(in crate::graph) kind: RootKind,
    /// The number of the module of a static, or of the thread.
    pub(in crate::graph) extra: u32,
    /// The address of the pointer.
    pub(in crate::graph) place: u64,
    pub(in crate::graph) target: u32,
    /// The bytes from the target's start; `u32::MAX` for more.
    pub(in crate::graph) offset: u32,
}

pub(super) fn facts(stream: &Stream<'_>) -> Result<Facts, Error> {
    let mut facts = Facts::default();
    let mut input = stream.input();
    while !input.is_at_end() {
        let key = input.number("a key")?;
        let value = input.number("a fact")?;
        let time = Duration::from_nanos(value);
        match key {
            1 => facts.process_id = value.try_into().unwrap_or(0),
            2 => facts.taken_at = SystemTime::UNIX_EPOCH + time,
            3 => facts.granule = Bytes::new(value),
            4 => facts.exact_sizes = value == 1,
            5 => facts.has_hashes = value == 1,
            6 => facts.pause = time,
            7 => facts.threads_stopped = value,
            8 => facts.threads_missed = value,
            9 => facts.clone_time = time,
            10 => facts.child_cpu = time,
            11 => facts.unread = Bytes::new(value),
            12 => facts.cut_blocks = value,
            13 => facts.without_stop = value == 1,
            14 => facts.live.bytes = Bytes::new(value),
            15 => facts.live.blocks = value,
            16 => facts.lost_blocks = value,
            // NOTE: a fact of a later version.
            _ => {}
        }
    }
    Ok(facts)
}

pub(super) fn modules(stream: &Stream<'_>) -> Result<Vec<Module>, Error> {
    let mut modules = Vec::new();
    if !stream.is_there {
        return Ok(modules);
    }
    let mut input = stream.input();
    let count = input.count("the number of modules", 5)?;
    modules.reserve_exact(count);
    for _ in 0..count {
        let bias = input.number("the bias of a module")?;
        let path = input.text("the path of a module")?;
        let count = input.count("the number of a module's ranges", 2)?;
        let mut writable = Vec::with_capacity(count);
        for _ in 0..count {
            let start = input.number("the start of a range")?;
            let length = input.number("the length of a range")?;
            writable.push(start..start.saturating_add(length));
        }
        modules.push(Module {
            bias,
            path,
            writable,
            tls_offset: input.number("the offset of thread-locals")?,
            tls_size: input.number("the size of thread-locals")?,
        });
    }
    Ok(modules)
}

/// A pointer that has a vtable next to it.
#[derive(Clone, Copy, Debug)]
pub(in crate::graph) struct VtableRow {
    pub(in crate::graph) edge: u32,
    pub(in crate::graph) module: u32,
    /// The address in the module's file.
    pub(in crate::graph) address: u64,
    /// The size of a value, in bytes.
    #[cfg_attr(
        not(any(test, feature = "process")),
        expect(dead_code, reason = "types are not told by vtables")
    )]
    pub(in crate::graph) size: u64,
}

pub(super) fn vtables(
    stream: &Stream<'_>,
    modules: usize,
    edges: usize,
) -> Result<Vec<VtableRow>, Error> {
    let mut vtables = Vec::new();
    if !stream.is_there {
        return Ok(vtables);
    }
    let mut input = stream.input();
    let mut last = 0_u64;
    while !input.is_at_end() {
        last = last.saturating_add(input.number("the reference of a vtable")?);
        let edge = u32::try_from(last).ok().filter(|it| (*it as usize) < edges);
        let Some(edge) = edge else {
            return Err(input.wrong(format!("a vtable of none of the {edges} references")));
        };
        let module = input.small("the module of a vtable")?;
        if module as usize >= modules {
            return Err(input.wrong(format!("a vtable of none of the {modules} modules")));
        }
        vtables.push(VtableRow {
            edge,
            module,
            address: input.number("the address of a vtable")?,
            size: input.number("the size of a value")?,
        });
    }
    Ok(vtables)
}

pub(super) fn named_roots(stream: &Stream<'_>) -> Result<Vec<String>, Error> {
    if !stream.is_there {
        return Ok(Vec::new());
    }
    let mut input = stream.input();
    let count = input.count("the number of named roots", 1)?;
    let mut names = Vec::with_capacity(count);
    for _ in 0..count {
        names.push(input.text("the name of a root")?);
    }
    Ok(names)
}

pub(super) fn threads(stream: &Stream<'_>) -> Result<Vec<Thread>, Error> {
    let mut threads = Vec::new();
    if !stream.is_there {
        return Ok(threads);
    }
    let mut input = stream.input();
    let count = input.count("the number of threads", 8)?;
    threads.reserve_exact(count);
    for _ in 0..count {
        let tid = input.number("the id of a thread")?;
        let name = input.text("the name of a thread")?;
        let flags = input.number("the flags of a thread")?;
        let low = input.number("the end of a stack")?;
        let length = input.number("the length of a stack")?;
        let mut thread = Thread {
            tid,
            name,
            took_the_graph: flags & 1 != 0,
            is_scanned_whole: flags & 2 != 0,
            is_missed: flags & 4 != 0,
            stack: low..low.saturating_add(length),
            stack_pointer: input.number("a stack pointer")?,
            thread_pointer: input.number("a thread pointer")?,
            frames: Vec::new(),
        };
        let mut end = thread.stack_pointer;
        let count = input.count("the number of a thread's frames", 2)?;
        thread.frames.reserve_exact(count);
        for _ in 0..count {
            let code = input.number("the code of a frame")?;
            end = end.saturating_add(input.number("the end of a frame")?);
            thread.frames.push(StackFrame { code, end });
        }
        threads.push(thread);
    }
    Ok(threads)
}

/// The callsites, and one last row for blocks of others.
pub(super) fn callsites(stream: &Stream<'_>) -> Result<Vec<CallsiteRow>, Error> {
    let mut input = stream.input();
    // Each takes three bytes or more, and one follows.
    let mut callsites = Vec::with_capacity(input.left() / 3 + 1);
    let mut sum = 0_u64;
    while !input.is_at_end() {
        let id = input.number("a callsite")?;
        let blocks = input.number("the blocks of a callsite")?;
        let bytes = input.number("the bytes of a callsite")?;
        sum = sum.saturating_add(bytes);
        if sum >= 1 << 62 {
            return Err(input.wrong("callsites of more than 2^62 bytes"));
        }
        callsites.push(CallsiteRow {
            id,
            live: Some(Amount::new(bytes, blocks)),
            trace: None,
        });
    }
    callsites.push(CallsiteRow::default());
    Ok(callsites)
}

/// The callsites of the snapshot's traces.
pub(super) fn traces(
    stream: &Stream<'_>,
    by_id: &mut HashMap<u64, u32>,
    callsites: &mut [CallsiteRow],
) -> Result<(), Error> {
    let mut input = stream.input();
    let mut number = 0;
    while !input.is_at_end() {
        let id = input.number("the callsite of a trace")?;
        // NOTE: the snapshot was written later, and may have callsites that had no block.
        if let Some(at) = by_id.get(&id) {
            callsites[*at as usize].trace = Some(number);
        }
        number += 1;
    }
    Ok(())
}

pub(super) fn roots(
    stream: &Stream<'_>,
    modules: &[Module],
    threads: &[Thread],
    nodes: &mut Nodes,
) -> Result<Vec<RootRow>, Error> {
    let mut roots = Vec::new();
    let mut input = stream.input();
    let mut place = 0_u64;
    while !input.is_at_end() {
        let kind = match input.byte("the kind of a root")? {
            1 => RootKind::Static,
            2 => RootKind::ThreadLocal,
            3 => RootKind::Stack,
            4 => RootKind::Register,
            5 => RootKind::Unknown,
            6 => RootKind::Named,
            other => return Err(input.wrong(format!("{other} for the kind of a root"))),
        };
        let extra = input.small("the module or thread of a root")?;
        let (what, number) = match kind {
            RootKind::Static => ("modules", modules.len()),
            RootKind::ThreadLocal | RootKind::Stack | RootKind::Register => {
                ("threads", threads.len())
            }
            RootKind::Unknown | RootKind::Named => ("", usize::MAX),
        };
        if extra as usize >= number {
            return Err(input.wrong(format!("a root of none of the {number} {what}")));
        }
        let step = input.signed("the place of a root")?;
        place = place.wrapping_add_signed(step.wrapping_mul(8));
        let target = input.small("the target of a root")?;
        if target as usize >= nodes.len() {
            return Err(input.wrong(format!("a root to none of the {} blocks", nodes.len())));
        }
        let head = input.number("the offset of a root")?;
        if head & 1 != 0 {
            let (capacity, length) = (input.number("a capacity")?, input.number("a length")?);
            nodes.lengths.push(Length {
                edge: None,
                block: target,
                capacity,
                length,
            });
        }
        roots.push(RootRow {
            kind,
            extra,
            place,
            target,
            offset: (head >> 1).min(u32::MAX.into()) as u32,
        });
    }
    Ok(roots)
}

/// Checks the counts of blocks, references and roots.
pub(super) fn check_end(stream: &Stream<'_>, found: [usize; 3]) -> Result<(), Error> {
    let mut input = stream.input();
    for (found, what) in found.into_iter().zip(["blocks", "references", "roots"]) {
        let expected = input.number("a count at the end")?;
        if expected != found as u64 {
            return Err(input.wrong(format!(
                "{found} {what} where its end counts {expected}: it is truncated or damaged,"
            )));
        }
    }
    Ok(())
}
