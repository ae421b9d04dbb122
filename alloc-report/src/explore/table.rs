//! The rows of the table: callsites grouped by a key.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use alloc_core_snapshot::{
    ChargeTo, GroupBy, GroupKey, Grouping, Metric, Origin, Snapshot, SourcePath, Trace,
};

use super::data::{Data, Shown};
use super::row::{Fold, Order, Row};
use super::tree::share;
use crate::names;
use crate::show::text;
use crate::stacks::{Frames, Value};

/// The rows of the table.
pub(super) fn rows(
    data: &Data,
    by: GroupBy,
    frames: Frames,
    shown: Shown,
    order: Order,
) -> Vec<Row> {
    let values = |snapshot: &Snapshot, metric: Metric| -> HashMap<GroupKey, Value> {
        let by = Grouping::by(by).with_metric(metric);
        let statistics = match frames {
            // NOTE: the copy shares the names.
            Frames::Mine => {
                let snapshot = snapshot.clone().charge_to(ChargeTo::Workspace);
                snapshot.statistics(by)
            }
            _ => snapshot.statistics(by),
        };
        let value = |bytes: u64, blocks| alloc_core_snapshot::Amount::new(bytes, blocks).into();
        let of_each = statistics.into_iter();
        of_each
            .map(|it| (it.key, value(it.size.get(), it.count)))
            .collect()
    };
    let mut of_keys = values(&data.now, shown.metric());
    if let (Shown::Growth, Some(old)) = (shown, &data.old) {
        subtract(&mut of_keys, values(old, Metric::Current));
    }
    let recent = data.before.as_ref().map(|before| {
        let mut recent = values(&data.now, Metric::Current);
        subtract(&mut recent, values(before, Metric::Current));
        recent
    });
    of_keys.retain(|_, value| *value != Value::default());
    let sum = data.sum(shown).bytes;
    let functions = match by {
        GroupBy::Line => functions(data),
        _ => HashMap::new(),
    };
    let function = |key: &GroupKey| match key {
        GroupKey::Frame(frame) => {
            let place = (frame.file()?, frame.line());
            functions.get(&place).copied()
        }
        _ => None,
    };
    let row = |(key, value): (GroupKey, Value)| Row {
        share: share(value.bytes, sum),
        recent: recent
            .as_ref()
            .and_then(|it| it.get(&key))
            .copied()
            .unwrap_or_default(),
        ..row(&key, value, by, function(&key))
    };
    let mut rows: Vec<Row> = of_keys.into_iter().map(row).collect();
    distinguish(&mut rows);
    rows.sort_by(|a, b| order.compare(a, b));
    rows
}

fn subtract(values: &mut HashMap<GroupKey, Value>, old: HashMap<GroupKey, Value>) {
    for (key, value) in old {
        let known = values.entry(key).or_default();
        known.bytes -= value.bytes;
        known.blocks -= value.blocks;
    }
}

/// The function of each line that is charged. A key of lines has none.
fn functions(data: &Data) -> HashMap<(&SourcePath, u32), &str> {
    let mut functions = HashMap::new();
    for snapshot in data.snapshots() {
        for Trace { traceback, .. } in snapshot.traces() {
            let of_workspace = traceback.charged(ChargeTo::Workspace);
            for frame in [snapshot.charged_frame(traceback), of_workspace] {
                if let (Some(file), Some(function)) = (frame.file(), frame.function()) {
                    functions.insert((file, frame.line()), function);
                }
            }
        }
    }
    functions
}

fn row(key: &GroupKey, value: Value, by: GroupBy, function: Option<&str>) -> Row {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    let frame = match key {
        GroupKey::Frame(frame) => Some(frame.clone()),
        _ => None,
    };
    let whole = key.to_string();
    let name = match &frame {
        Some(frame) => match (by, frame.function()) {
            (GroupBy::Function, Some(function)) => text::name(&names::short(function)),
            _ => text::place(frame),
        },
        None => whole.clone(),
    };
    Row {
        id: hasher.finish(),
        depth: 0,
        guides: Vec::new(),
        fold: Fold::Leaf,
        name,
        // NOTE: the name is the place already.
        place: String::new(),
        is_mine: frame.as_ref().is_none_or(|it| {
            !matches!(
                it.origin(),
                Origin::Dependency | Origin::Std | Origin::Tracer
            )
        }),
        whole: function.map_or(whole, text::name),
        frame,
        value,
        own: value,
        share: 0.0,
        recent: Value::default(),
    }
}

/// Gives rows whose short names are equal their whole names.
fn distinguish(rows: &mut [Row]) {
    let mut times: HashMap<String, usize> = HashMap::new();
    for row in rows.iter() {
        *times.entry(row.name.clone()).or_default() += 1;
    }
    for row in rows.iter_mut().filter(|it| times[&it.name] > 1) {
        row.name.clone_from(&row.whole);
        if let Some(frame) = &row.frame
            && let Some(file) = frame.file()
        {
            row.name = text::place_in(file.full(), frame.line());
        }
    }
}
