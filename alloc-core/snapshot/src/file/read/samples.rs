//! [`Samples`]: turns samples into traces.

use std::collections::HashMap;
use std::sync::Arc;

use super::budget::Budget;
use super::index::{Counts, Strings};
use super::places::Places;
use super::sample_types::{COLUMNS, SampleTypes};
use super::wire::Fields;
use crate::error::Error;
use crate::file::{
    BROKEN, DOMAIN_LABEL, OVERFLOW, OWN_LABEL, SIZE_LABEL, STACK_LABEL, THREAD_LABEL, TRUNCATED,
    TYPE_LABEL, UNCAPTURED, counters,
};
use crate::lifetimes::{Ages, Lifetimes};
use crate::recorded::StackEnd;
use crate::snapshot::{Trace, class_of};
use crate::stack::frame::Frame;
use crate::stack::traceback::Traceback;
use crate::{Amount, Bytes, FreedBy, Pinned, Slack};

/// The traces of a profile.
///
/// A profile of changes has negative values. It becomes two lists of traces: the first minus the
/// second is the change. For a profile of one moment, the second list is empty.
pub(super) struct Traces {
    pub(super) added: Vec<Trace>,
    pub(super) taken_away: Vec<Trace>,
}

/// The traces of the samples so far.
pub(super) struct Samples<'a, 'b> {
    strings: &'b Strings<'a>,
    places: &'b Places,
    types: &'b SampleTypes,
    /// Whether our own writer wrote the file.
    is_own: bool,
    /// Whether the file has freed amounts: for blocks, and for bytes.
    knows_freed: [bool; 2],
    /// The number of samples in the file.
    number: usize,
    traces: Traces,
    /// The sums of the values so far: of the positive values, and of the negative values.
    sums: [[i64; COLUMNS]; 2],
    texts: HashMap<i64, Arc<str>>,
    unknown: Frame,
    /// A buffer that is reused for each sample.
    values: Vec<i64>,
    ids: Vec<u64>,
}

/// The labels of a sample.
struct Labels {
    end: StackEnd,
    domain: u32,
    thread: Option<Arc<str>>,
    label: Option<Arc<str>>,
    size_class: Option<Bytes>,
    type_name: Option<Arc<str>>,
    lifetimes: Option<Lifetimes>,
    freed_by: Option<Arc<[FreedBy]>>,
    slack: Option<Slack>,
    pinned: Option<Pinned>,
}

impl<'a, 'b> Samples<'a, 'b> {
    pub(super) fn of(
        counts: &Counts,
        strings: &'b Strings<'a>,
        places: &'b Places,
        types: &'b SampleTypes,
        is_own: bool,
        budget: &mut Budget,
    ) -> Result<Samples<'a, 'b>, Error> {
        budget.take(counts.samples, size_of::<Trace>(), "samples")?;
        budget.take(types.number(), size_of::<i64>(), "sample types")?;
        Ok(Samples {
            strings,
            places,
            types,
            is_own,
            knows_freed: [
                types.knows("alloc_objects") && types.knows("inuse_objects"),
                types.knows("alloc_space") && types.knows("inuse_space"),
            ],
            number: counts.samples,
            traces: Traces {
                added: Vec::with_capacity(counts.samples),
                taken_away: Vec::new(),
            },
            sums: [[0; COLUMNS]; 2],
            texts: HashMap::new(),
            unknown: Frame::default(),
            values: Vec::with_capacity(types.number()),
            ids: Vec::new(),
        })
    }

    pub(super) fn traces(self) -> Traces {
        self.traces
    }

    pub(super) fn add(&mut self, sample: Fields<'_>, budget: &mut Budget) -> Result<(), Error> {
        self.ids.clear();
        self.values.clear();
        let mut values = 0;
        let mut labels = Labels {
            end: StackEnd::Complete,
            domain: 0,
            thread: None,
            label: None,
            size_class: None,
            type_name: None,
            lifetimes: None,
            freed_by: None,
            slack: None,
            pinned: None,
        };
        for at in sample {
            match at? {
                (1, locations) => {
                    for id in locations.numbers() {
                        let id = id?;
                        if self.ids.len() == self.ids.capacity() {
                            // The vector doubles, and its content is copied.
                            let more = self.ids.len().max(4);
                            budget.take(more, size_of::<u64>(), "stacks")?;
                            budget.check(more, size_of::<u64>(), "stacks")?;
                        }
                        self.ids.push(id);
                    }
                }
                (2, numbers) => {
                    for number in numbers.numbers() {
                        let number = number?;
                        values += 1;
                        if values <= self.types.number() {
                            self.values.push(number as i64);
                        }
                    }
                }
                (3, label) => self.label(label.fields()?, &mut labels, budget)?,
                (7101, it) if self.is_own => {
                    labels.lifetimes = Some(lifetimes(it.fields()?, budget)?);
                }
                (7102, it) if self.is_own => {
                    labels.freed_by = Some(self.freed_by(it.fields()?, budget)?);
                }
                (7103, it) if self.is_own => labels.slack = Some(slack(it.fields()?)?),
                (7104, it) if self.is_own => labels.pinned = Some(pinned(it.fields()?)?),
                _ => {}
            }
        }
        if values != self.types.number() {
            return Err(Error::invalid_file(format!(
                "found a sample with {values} values where the profile has {} sample types",
                self.types.number()
            )));
        }
        let values = self.types.in_order(&self.values)?;
        self.sum(&values)?;
        let trace = Trace {
            traceback: self.traceback(labels.end, budget)?,
            counters: Default::default(),
            domain: labels.domain,
            thread: labels.thread,
            label: labels.label,
            size_class: labels.size_class,
            type_name: labels.type_name,
            lifetimes: labels.lifetimes.map(Arc::new),
            freed_by: labels.freed_by,
            slack: labels.slack,
            pinned: labels.pinned,
        };
        self.push(trace, &values, budget)
    }

    fn push(
        &mut self,
        trace: Trace,
        values: &[i64; COLUMNS],
        budget: &mut Budget,
    ) -> Result<(), Error> {
        if values.iter().all(|&value| value >= 0) {
            let counters = counters(&values.map(|value| value as u64));
            self.traces.added.push(Trace { counters, ..trace });
            return Ok(());
        }
        if self.traces.taken_away.capacity() == 0 {
            budget.take(self.number, size_of::<Trace>(), "samples")?;
            self.traces.taken_away.reserve_exact(self.number);
        }
        let sides = sides(values, self.knows_freed);
        let [added, taken_away] = sides.map(|side| counters(&side));
        if added != Default::default() {
            let counters = added;
            self.traces.added.push(Trace {
                counters,
                ..trace.clone()
            });
        }
        let counters = taken_away;
        self.traces.taken_away.push(Trace { counters, ..trace });
        Ok(())
    }

    /// Refuses sums that no process can reach, so that later sums cannot overflow.
    fn sum(&mut self, values: &[i64; COLUMNS]) -> Result<(), Error> {
        let [above, below] = &mut self.sums;
        for ((above, below), value) in above.iter_mut().zip(below).zip(values) {
            let sum = if *value < 0 { below } else { above };
            *sum = sum.checked_add(*value).ok_or_else(|| {
                Error::invalid_file("found samples that sum up to more than 2^63")
            })?;
        }
        Ok(())
    }

    fn traceback(&self, end: StackEnd, budget: &mut Budget) -> Result<Traceback, Error> {
        let mut number = 0;
        for &id in &self.ids {
            number += self.places.get(id)?.len();
        }
        // Frames are collected, and then moved to shared memory.
        budget.check(number, 2 * size_of::<Frame>(), "stacks")?;
        let shared = 2 * size_of::<usize>() + number.max(1) * size_of::<Frame>();
        budget.take(1, shared, "stacks")?;
        let mut frames = Vec::with_capacity(number.max(1));
        for &id in &self.ids {
            frames.extend_from_slice(self.places.get(id)?);
        }
        if frames.is_empty() {
            frames.push(self.unknown.clone());
        }
        Ok(Traceback::with_end(frames, end))
    }

    fn label(
        &mut self,
        fields: Fields<'_>,
        labels: &mut Labels,
        budget: &mut Budget,
    ) -> Result<(), Error> {
        let (mut key, mut text, mut number) = (0, 0, 0);
        for at in fields {
            match at? {
                (1, it) => key = it.number()? as i64,
                (2, it) => text = it.number()? as i64,
                (3, it) => number = it.number()? as i64,
                _ => {}
            }
        }
        let key = self.strings.bytes(key)?;
        if key == STACK_LABEL.as_bytes() {
            let ends = [
                (TRUNCATED, StackEnd::Truncated),
                (BROKEN, StackEnd::Broken),
                (OVERFLOW, StackEnd::Overflow),
                (UNCAPTURED, StackEnd::Uncaptured),
            ];
            let word = self.strings.bytes(text)?;
            let end = ends.iter().find(|(known, _)| known.as_bytes() == word);
            labels.end = end.map_or(labels.end, |(_, end)| *end);
        } else if key == DOMAIN_LABEL.as_bytes() && self.is_own {
            // In files of other writers the label may mean anything.
            labels.domain = number.try_into().map_err(|_| {
                Error::invalid_file(format!(
                    "found a sample in domain {number}, which is not a number of 32 bits"
                ))
            })?;
        } else if key == THREAD_LABEL.as_bytes() && text != 0 {
            labels.thread = Some(self.text(text, budget)?);
        } else if key == OWN_LABEL.as_bytes() && text != 0 && self.is_own {
            labels.label = Some(self.text(text, budget)?);
        } else if key == TYPE_LABEL.as_bytes() && text != 0 && self.is_own {
            labels.type_name = Some(self.text(text, budget)?);
        } else if key == SIZE_LABEL.as_bytes() && number > 0 {
            labels.size_class = Some(class_of((number as u64).into()));
        }
        Ok(())
    }

    /// Who freed the blocks of a sample.
    fn freed_by(
        &mut self,
        fields: Fields<'_>,
        budget: &mut Budget,
    ) -> Result<Arc<[FreedBy]>, Error> {
        let mut all = Vec::new();
        for at in fields {
            let (1, it) = at? else { continue };
            let count = it.numbers().count();
            if count % 4 != 0 {
                return Err(Error::invalid_file(format!(
                    "found {count} numbers where four for each label or thread that freed belong"
                )));
            }
            budget.take(count / 4, size_of::<FreedBy>(), "frees")?;
            // They are collected, and then moved to shared memory.
            budget.check(all.len() + count / 4, 2 * size_of::<FreedBy>(), "frees")?;
            all.reserve_exact(count / 4);
            let mut numbers = it.numbers();
            let mut next = || numbers.next().unwrap_or(Ok(0));
            for _ in 0..count / 4 {
                let (label, thread) = (next()?, next()?);
                let mut freed = FreedBy::new(Amount::new(next()?, next()?));
                for (name, at) in [(&mut freed.label, label), (&mut freed.thread, thread)] {
                    if at != 0 {
                        *name = Some(self.text(at as i64, budget)?);
                    }
                }
                all.push(freed);
            }
        }
        Ok(all.into())
    }

    fn text(&mut self, at: i64, budget: &mut Budget) -> Result<Arc<str>, Error> {
        if let Some(known) = self.texts.get(&at) {
            return Ok(known.clone());
        }
        let name = self.strings.text(at)?;
        budget.take(1, 128 + name.len(), "names of threads, labels and types")?;
        let name: Arc<str> = name.into();
        self.texts.insert(at, name.clone());
        Ok(name)
    }
}

/// How long the blocks of a sample lived.
fn lifetimes(fields: Fields<'_>, budget: &mut Budget) -> Result<Lifetimes, Error> {
    let mut unit = 0;
    let mut buckets = [const { Vec::new() }; 4];
    for at in fields {
        match at? {
            (1, it) => unit = it.number()?,
            (field @ 2..=5, it) => {
                let all: &mut Vec<(u8, u64)> = &mut buckets[field as usize - 2];
                let mut numbers = it.numbers();
                while let (Some(at), Some(blocks)) = (numbers.next(), numbers.next()) {
                    let (at, blocks) = (at?, blocks?);
                    let is_next = all.last().is_none_or(|&(last, _)| u64::from(last) < at);
                    let Some(at) = u8::try_from(at).ok().filter(|_| is_next) else {
                        return Err(Error::invalid_file(format!(
                            "found {at} where the next bucket of lifetimes belongs"
                        )));
                    };
                    budget.take(1, 2 * size_of::<(u8, u64)>(), "lifetimes")?;
                    all.push((at, blocks));
                }
            }
            _ => {}
        }
    }
    let [freed_times, freed_bytes, live_times, live_bytes] = buckets;
    let ages = |times, bytes| Ages { unit, times, bytes };
    let freed = ages(freed_times, freed_bytes);
    Ok(Lifetimes::new(freed, ages(live_times, live_bytes)))
}

/// How many more bytes the blocks of a sample have than were asked for.
fn slack(fields: Fields<'_>) -> Result<Slack, Error> {
    let mut slack = Slack::default();
    for at in fields {
        match at? {
            (1, it) => slack.current = it.number()?.into(),
            (2, it) => slack.total = it.number()?.into(),
            _ => {}
        }
    }
    Ok(slack)
}

/// What the blocks of a sample keep resident besides themselves.
fn pinned(fields: Fields<'_>) -> Result<Pinned, Error> {
    let mut pinned = Pinned::default();
    for at in fields {
        match at? {
            (1, it) => pinned.unused = it.number()?.into(),
            (2, it) => pinned.alone = it.number()?.into(),
            (3, it) => pinned.own = it.number()?.into(),
            _ => {}
        }
    }
    Ok(pinned)
}

/// Splits values into two sides without negative values. The first minus the second is the change:
/// in what is live, in what was ever allocated and, if it is known, in what was freed.
fn sides(values: &[i64; COLUMNS], knows_freed: [bool; 2]) -> [[u64; COLUMNS]; 2] {
    let mut sides = [
        values.map(|value| value.max(0) as u64),
        values.map(|value| value.min(0).unsigned_abs()),
    ];
    // On each side, the allocated amount is the sum of the live and the freed amount. First the
    // blocks, then the bytes.
    for (total, live) in [(0, 2), (1, 3)] {
        if !knows_freed[total] {
            continue;
        }
        let freed = i128::from(values[total]) - i128::from(values[live]);
        for (side, freed) in sides.iter_mut().zip([freed, -freed]) {
            let sum = i128::from(side[live]) + freed.max(0);
            side[total] = sum.try_into().unwrap_or(u64::MAX);
        }
    }
    sides
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Changes in allocated blocks and in live blocks.
    #[track_caller]
    fn check(total: i64, live: i64) {
        let mut values = [0; COLUMNS];
        (values[0], values[2]) = (total, live);
        let [added, taken_away] = sides(&values, [true; 2]).map(|side| counters(&side));
        let change =
            |part: fn(&crate::Counters) -> u64| part(&added) as i64 - part(&taken_away) as i64;
        assert_eq!(change(|it| it.total.blocks), total);
        assert_eq!(change(|it| it.current.blocks), live);
        assert_eq!(change(|it| it.freed().blocks), total - live);
    }

    #[test]
    fn one_side_minus_the_other_is_the_change() {
        for (total, live) in [
            (0, -10),
            (10, -10),
            (10, -50),
            (-10, -5),
            (-10, 5),
            (3, 7),
            (-3, -7),
        ] {
            check(total, live);
        }
    }

    #[test]
    fn a_missing_number_stays_zero() {
        let mut values = [0; COLUMNS];
        values[3] = -20;
        let [added, taken_away] = sides(&values, [false; 2]);
        assert_eq!(added, [0; COLUMNS]);
        assert_eq!(taken_away.iter().sum::<u64>(), 20);
    }
}
