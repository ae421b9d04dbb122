//! Groups the traces of a snapshot, one key after another.

use std::collections::HashMap;

use super::{GroupKey, Statistic};
use crate::snapshot::{Snapshot, Trace};
use crate::stack::frame::Frame;
use crate::stack::origin::Origin;
use crate::stack::package::Crates;
use crate::stack::traceback::Traceback;
use crate::statistics::grouping::{GroupBy, Grouping, Key};
use crate::{Counters, Lifetimes, Pinned, Slack, sampling};

/// The index of the first calling frame: the innermost frame of the workspace, or the place where
/// std calls `main` or a thread's closure.
pub(super) fn start_of_callers(traceback: &Traceback) -> usize {
    /// The function that std puts around these calls.
    const OUTERMOST: &str = "__rust_begin_short_backtrace";
    let is_outermost = |frame: &Frame| {
        let name = frame.function();
        name.is_some_and(|name| name.contains(OUTERMOST))
    };
    let is_own = |frame: &Frame| frame.origin() == Origin::Workspace;
    let position = traceback
        .iter()
        .position(|it| is_own(it) || is_outermost(it));
    position.unwrap_or(traceback.len())
}

pub(super) fn is_library(frame: &Frame) -> bool {
    matches!(
        frame.origin(),
        Origin::Std | Origin::Tracer | Origin::Dependency
    )
}

/// A grouping and the snapshot it applies to.
pub(super) struct Of<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) grouping: &'a Grouping,
    pub(super) crates: Crates<'a>,
}

/// A trace seen from one of its frames. Members of one trace are adjacent.
#[derive(Clone, Copy)]
pub(super) struct Member<'a> {
    pub(super) number: usize,
    pub(super) trace: &'a Trace,
    pub(super) frame: &'a Frame,
    /// Whether the frame is a library's that allocated for its caller, or that called a function of
    /// the workspace that allocated.
    pub(super) is_plumbing: bool,
}

/// A group under construction.
pub(super) struct Group<'a> {
    key: GroupKey,
    sum: Sum,
    lifetimes: Option<Lifetimes>,
    slack: Option<Slack>,
    pinned: Option<Pinned>,
    /// The trace that was counted last.
    last: usize,
    /// The trace that was counted last as the group's own.
    last_own: usize,
    /// Kept if there is a further key.
    members: Vec<Member<'a>>,
}

impl<'a> Of<'a> {
    pub(super) fn group(
        &self,
        members: impl Iterator<Item = Member<'a>>,
        keys: &[Key],
    ) -> Vec<Statistic> {
        let Some((key, further)) = keys.split_first() else {
            return Vec::new();
        };
        let mut groups: Vec<Group<'a>> = Vec::new();
        let mut by_key: HashMap<GroupKey, usize> = HashMap::new();
        // A frame is part of many traces, so its key is computed once.
        let mut by_frame: HashMap<usize, usize> = HashMap::new();
        for member in members {
            let mut find = || {
                let key = self.key(key, member);
                *by_key.entry(key.clone()).or_insert_with(|| {
                    groups.push(Group {
                        key,
                        sum: Sum::default(),
                        lifetimes: None,
                        slack: None,
                        pinned: None,
                        last: usize::MAX,
                        last_own: usize::MAX,
                        members: Vec::new(),
                    });
                    groups.len() - 1
                })
            };
            let at = match key.is_of_frames() {
                true => *by_frame.entry(member.frame.id()).or_insert_with(find),
                false => find(),
            };
            let group = &mut groups[at];
            if group.last != member.number {
                group.last = member.number;
                group.sum.add(self.part(member.trace));
                if let Some(lifetimes) = &member.trace.lifetimes {
                    *group.lifetimes.get_or_insert_default() += lifetimes;
                }
                if let Some(slack) = member.trace.slack {
                    *group.slack.get_or_insert_default() += slack;
                }
                if let Some(pinned) = member.trace.pinned {
                    *group.pinned.get_or_insert_default() += pinned;
                }
            }
            if !member.is_plumbing && group.last_own != member.number {
                group.last_own = member.number;
                group.sum.own += self.bytes(member.trace);
            }
            if !further.is_empty() {
                group.members.push(member);
            }
        }
        let mut statistics: Vec<Statistic> = groups
            .into_iter()
            .map(|group| {
                let parts = self.group(group.members.into_iter(), further);
                let statistic = Statistic::new(group.key, group.sum, parts, self);
                Statistic {
                    lifetimes: group.lifetimes,
                    slack: group.slack,
                    pinned: group.pinned,
                    ..statistic
                }
            })
            .filter(|statistic| statistic.size > 0 || statistic.count > 0)
            .collect();
        let order = self.grouping.order();
        statistics.sort_unstable_by(|a, b| a.compare(b, order));
        statistics
    }

    pub(super) fn key(&self, key: &Key, Member { trace, frame, .. }: Member<'_>) -> GroupKey {
        let by = match key {
            Key::Own(key) => return key(trace),
            Key::By(by) => *by,
        };
        match by {
            GroupBy::Line | GroupBy::File | GroupBy::Function => GroupKey::of_frame(frame, by),
            GroupBy::Module => self.crates.module_of(frame).into(),
            GroupBy::Crate => self.crates.crate_of(frame).into(),
            GroupBy::Traceback => GroupKey::Traceback(trace.traceback.clone()),
            GroupBy::FoldedTraceback => GroupKey::Traceback(trace.traceback.folded()),
            GroupBy::SizeClass => GroupKey::of_size(trace),
            GroupBy::Type => trace.type_or_unknown().into(),
            GroupBy::Thread => trace.thread_name().into(),
            GroupBy::Label => trace.label_or_none().into(),
            GroupBy::Domain => GroupKey::Domain(trace.domain),
        }
    }

    fn bytes(&self, trace: &Trace) -> u64 {
        let amount = trace.counters.amount(self.grouping.metric());
        amount.bytes.get()
    }

    fn part(&self, trace: &Trace) -> Sum {
        let amount = trace.counters.amount(self.grouping.metric());
        let variance = |interval| sampling::variance(interval, amount.bytes.get(), amount.blocks);
        Sum {
            counters: trace.counters,
            own: 0,
            variance: self.snapshot.sampling().map_or(0.0, variance),
        }
    }
}

/// The counters of some callsites, and the variance of a sample's estimate.
#[derive(Clone, Copy, Default)]
pub(super) struct Sum {
    pub(super) counters: Counters,
    /// The bytes of the callsites in which the group is not plumbing.
    pub(super) own: u64,
    pub(super) variance: f64,
}

impl Sum {
    pub(super) fn add(&mut self, other: Sum) {
        self.counters += other.counters;
        self.variance += other.variance;
    }
}
