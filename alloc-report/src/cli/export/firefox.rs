//! The Firefox Profiler's JSON: a process for each metric, with an allocation for each stack.
//!
//! The viewer offers "retained memory" for it. A snapshot has what is held, not the order of what
//! was allocated, so all allocations are at one moment, and none is freed.

use std::time::SystemTime;

use alloc_core_snapshot::{Metric, Snapshot};
use anyhow::Result;
use fxprof_processed_profile::{
    CategoryHandle, Frame, FrameFlags, FrameInfo, Profile, ReferenceTimestamp, SamplingInterval,
    Timestamp,
};

use super::stacks::{Stacks, metrics, name_and_place};
use super::{json, title};

/// The bytes of all metrics, those of `first` in front.
pub(super) fn write(snapshot: &Snapshot, first: Metric) -> Result<Vec<u8>> {
    let stacks = Stacks::of(snapshot, name_and_place);
    let taken_at = snapshot.taken_at();
    let since = taken_at.duration_since(SystemTime::UNIX_EPOCH);
    let mut profile = Profile::new(
        &title(snapshot),
        ReferenceTimestamp::from_duration_since_unix_epoch(since.unwrap_or_default()),
        SamplingInterval::from_millis(1),
    );
    let moment = Timestamp::from_nanos_since_reference(0);
    let metrics = metrics(snapshot, first).into_iter();
    let metrics = metrics.map(|it| (it, stacks.by_size(it)));
    let metrics = metrics.filter(|(metric, rows)| !rows.is_empty() || *metric == first);
    for ((metric, rows), at) in metrics.zip(0_u32..) {
        let process = profile.add_process(&metric.to_string(), at, moment);
        let thread = profile.add_thread(process, at, moment, true);
        profile.set_thread_name(thread, &metric.to_string());
        // NOTE: the viewer tells blocks apart by their addresses.
        for ((row, amount), address) in rows.into_iter().zip(1..) {
            let frames = row.frames.iter().rev();
            let names = frames.map(|&it| profile.intern_string(&stacks.frames[it]));
            let frames: Vec<FrameInfo> = names
                .map(|name| FrameInfo {
                    frame: Frame::Label(name),
                    category_pair: CategoryHandle::OTHER.into(),
                    flags: FrameFlags::empty(),
                })
                .collect();
            let stack = profile.intern_stack_frames(thread, frames.into_iter());
            let bytes = i64::try_from(amount.bytes.get()).unwrap_or(i64::MAX);
            profile.add_allocation_sample(thread, moment, stack, address, bytes);
        }
    }
    json(&profile)
}
