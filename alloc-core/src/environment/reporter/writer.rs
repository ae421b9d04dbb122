//! The writer thread: waits for clocks, conditions and signals, and writes what they request.

use std::path::{Path, PathBuf};

use super::order_for_thread;
use super::signal::{self, warn_that_tracing_is_off};
use super::writing::{write_numbered, writing};
use crate::environment::clock::Clock;
use crate::environment::live::Live;
use crate::environment::rehearsals::Rehearsals;
use crate::environment::template::{self, Template};
use crate::environment::watch::{self, Reason, Watch};
use crate::environment::{ring, wake};
use crate::graph::heap_graph;
use crate::system::hooks;
use crate::write::Moment;
use crate::{announce, control};

/// Writes numbered snapshots, and says what goes wrong once.
#[derive(Default)]
struct Ticks {
    /// How many were not written since the last one that was.
    failed: u32,
}

impl Ticks {
    /// Writes a numbered snapshot, and prints its path if a signal requested it. `false` if it
    /// could not be written.
    ///
    /// NOTE: a snapshot that nobody waits for fails in silence after the first. A message each time
    /// would fill the disk that is full.
    fn tick(&mut self, out: Template, was_signalled: bool, reason: Option<Reason>) -> bool {
        if !control::is_on() {
            if was_signalled {
                warn_that_tracing_is_off();
            }
            return true;
        }
        match write_numbered(out, Moment::Running, reason) {
            Ok(Some(path)) => {
                let failed = std::mem::take(&mut self.failed);
                if was_signalled || failed > 0 {
                    let after = match failed {
                        0 => String::new(),
                        _ => format!(", after {failed} that could not be written"),
                    };
                    // NOTE: in one write, since other threads write there too.
                    let message = format!("alloc-core: wrote {}{after}\n", path.display());
                    hooks::write_to_stderr(&[&message]);
                }
                announce::wrote(&path);
                true
            }
            Ok(None) => false,
            Err(error) => {
                if was_signalled || self.failed == 0 {
                    hooks::write_to_stderr(&["alloc-core: no snapshot written: ", &error, "\n"]);
                    announce::did_not_write(&error);
                }
                self.failed = self.failed.saturating_add(1);
                false
            }
        }
    }
}

/// Writes a heap graph next to the numbered snapshots, and prints its path.
fn write_graph(out: Template) {
    if !control::is_on() {
        return warn_that_tracing_is_off();
    }
    let written = writing(|| {
        let path = graph_path(&ring::next_path(out));
        template::check_length(&path)?;
        heap_graph(&path).map_err(|error| error.to_string())?;
        Ok(Some(path))
    });
    match written {
        Ok(Some(path)) => {
            let message = format!("alloc-core: wrote {}\n", path.display());
            hooks::write_to_stderr(&[&message]);
            announce::wrote(&path);
        }
        Ok(None) => {}
        Err(error) => {
            hooks::write_to_stderr(&["alloc-core: no heap graph written: ", &error, "\n"]);
            announce::did_not_write(&error);
        }
    }
}

/// The path of a heap graph, from that of a snapshot: `heap.0001.pb.gz` becomes
/// `heap.0001.heapgraph`.
fn graph_path(snapshot: &Path) -> PathBuf {
    let mut path = snapshot.to_owned();
    for extension in ["gz", "pb"] {
        if path.extension().is_some_and(|it| it == extension) {
            path.set_extension("");
        }
    }
    path.as_mut_os_string().push(".heapgraph");
    path
}

/// The writer thread's loop.
pub(super) fn serve() {
    let Some((order, ago)) = order_for_thread() else {
        return;
    };
    let mut snapshots = order.every.map(|every| Clock::begun(every, ago));
    let mut live = order.live.and_then(Live::new);
    let mut watch = order.when.map(Watch::new);
    let mut ticks = Ticks::default();
    let mut rehearsals = order.sets_memory_aside().then(Rehearsals::default);
    loop {
        rehearsals.iter_mut().for_each(Rehearsals::rehearse_if_due);
        let next = [
            snapshots.as_ref().map(Clock::left),
            live.as_ref().map(|it| it.clock.left()),
            watch.as_ref().map(|_| watch::EVERY),
        ];
        wake::wait(next.into_iter().flatten().min());
        let signalled = signal::take_snapshot();
        if signal::take_graph() {
            write_graph(order.numbered);
        }
        let is_due = snapshots.as_mut().is_some_and(Clock::is_due);
        let reason = watch.as_mut().and_then(Watch::look);
        if signalled || is_due || reason.is_some() {
            let is_written = ticks.tick(order.numbered, signalled, reason);
            match (&mut watch, reason) {
                (Some(watch), _) if is_written => watch.wrote(),
                (Some(watch), Some(reason)) => watch.failed(reason),
                _ => {}
            }
        }
        if let Some(live) = &mut live
            && live.clock.is_due()
        {
            live.append();
        }
    }
}
