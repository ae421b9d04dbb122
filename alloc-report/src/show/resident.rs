//! [`resident`]: where the resident memory of a process goes, and which lines keep pages.

use std::cmp::Reverse;
use std::fmt;

use alloc_core_snapshot::{
    Amount, Bytes, GroupKey, Metric, Pinned, Residence, Snapshot, Statistic,
};

use super::builder::plain;
use super::notes;
use super::table::{Cell, DIM, Table};
use super::text;
use super::view::{List, View, process};

/// Makes a table of where the resident memory of a process goes, and of the `n` lines whose live
/// blocks keep the most unused bytes resident.
///
/// The first table is a sum over all resident pages. In the second, *unused* is a line's share of
/// what is free in the pages of its blocks, *given back* the pages that nothing else holds, which
/// the system gets if the blocks are freed, and *if together* what it gets if they are placed next
/// to each other. The snapshot is one of `take_snapshot_with_residence`, or of a program that ran
/// with `ALLOC_TRACE_RESIDENT=1`.
///
/// ```
/// let snapshot = alloc_core::Snapshot::from_traces(vec![], 32);
/// let table = alloc_report::resident(&snapshot, 10).to_string();
/// assert!(table.contains("ALLOC_TRACE_RESIDENT=1"));
/// ```
pub fn resident(snapshot: &Snapshot, n: usize) -> ResidentTable<'_> {
    let mut view = View::new(n);
    view.by = view.by.with_metric(Metric::Current);
    ResidentTable { snapshot, view }
}

/// A table of resident memory, made by [`resident`].
///
/// It prints without a final newline.
#[derive(Clone, Debug)]
#[must_use = "a table does nothing until it is printed"]
pub struct ResidentTable<'a> {
    snapshot: &'a Snapshot,
    view: View,
}

plain!(ResidentTable);

impl ResidentTable<'_> {
    /// The groups that keep unused bytes resident, the most first.
    #[doc(hidden)]
    pub fn groups(&self) -> Vec<PinnedGroup> {
        alloc_core_snapshot::seam::untraced(|| self.all())
    }

    /// The notes below the table.
    pub fn notes(&self) -> Vec<String> {
        alloc_core_snapshot::seam::untraced(|| {
            let mut all = Vec::new();
            match self.snapshot.residence() {
                None => all.push(
                    "where the resident memory goes was not asked for: trace with \
                     ALLOC_TRACE_RESIDENT=1, or call take_snapshot_with_residence()"
                        .to_owned(),
                ),
                Some(residence) => all.extend(advice(&residence)),
            }
            all.extend(notes::of_snapshot(self.snapshot));
            all
        })
    }

    fn all(&self) -> Vec<PinnedGroup> {
        let by = self.view.by.clone().with_metric(Metric::Current);
        let of = |it: Statistic| {
            Some(PinnedGroup {
                held: it.counters.amount(Metric::Current),
                pinned: it.pinned.filter(|it| it.unused > 0 || it.alone > 0)?,
                key: it.key,
            })
        };
        let statistics = self.snapshot.statistics(by).into_iter();
        let mut groups: Vec<_> = statistics.filter_map(of).collect();
        groups.sort_by_key(|it| Reverse((it.pinned.unused, it.pinned.alone)));
        groups
    }

    fn table(&self, groups: &[PinnedGroup]) -> Table {
        let list = List::<PinnedGroup> {
            heads: vec!["#", "unused", "given back", "if together", "live", "blocks"],
            key: |it| &it.key,
            cells: &|rank, it| it.cells(rank),
            details: |_| Vec::new(),
            others: &|it| PinnedGroup::sum(it).cells(String::new()),
        };
        self.view.list(self.snapshot, groups, list)
    }

    fn heading(&self) -> String {
        match self.snapshot.residence() {
            None => "no resident memory is known".to_owned(),
            Some(residence) => format!(
                "{} are resident, and {} of that are live blocks\n\n{}\n\n\
                 what live blocks keep resident besides themselves, {}",
                residence.resident,
                residence.live,
                [parts(&residence)]
                    .into_iter()
                    .chain(allocators(self.snapshot))
                    .collect::<Vec<_>>()
                    .join("\n"),
                self.view.grouped(self.snapshot),
            ),
        }
    }
}

/// The parts of resident memory and their names.
pub(crate) fn named_parts(residence: &Residence) -> [(Bytes, &'static str); 6] {
    [
        (residence.live, "live blocks"),
        (
            residence.between,
            "between live blocks, in the pages that they hold",
        ),
        (
            residence.free,
            "pages of the allocator without a live block",
        ),
        (residence.tracer, "the tracer"),
        (residence.files, "code and files"),
        (residence.other, "stacks and other mappings"),
    ]
}

/// The parts of resident memory, a line each.
fn parts(residence: &Residence) -> String {
    let sum = residence.sum();
    let share = |bytes: Bytes| 100.0 * bytes.get() as f64 / sum.get().max(1) as f64;
    let mut lines: Vec<String> = Vec::new();
    for (bytes, what) in named_parts(residence) {
        let (size, share) = (bytes.to_string(), share(bytes));
        lines.push(format!("{size:>10}  {share:>5.1}%  {what}"));
    }
    let (size, counted) = (sum.to_string(), residence.resident);
    lines.push(format!(
        "{size:>10}  100.0%  total; the kernel counts {counted}"
    ));
    lines.join("\n")
}

/// What each allocator says of its own memory, a line each.
pub(crate) fn allocators(snapshot: &Snapshot) -> Vec<String> {
    let mut lines: Vec<(&str, String)> = Vec::new();
    for (allocator, what, bytes) in snapshot.allocator_numbers() {
        let number = format!("{bytes} {what}");
        match lines.last_mut().filter(|it| it.0 == allocator) {
            Some((_, line)) => *line += &format!(", {number}"),
            None => lines.push((allocator, format!("{allocator} says: {number}"))),
        }
    }
    lines.into_iter().map(|it| it.1).collect()
}

/// What to do about the largest part, if it is none of the program's.
fn advice(residence: &Residence) -> Vec<String> {
    let is_large = |part: Bytes| part.get() * 4 > residence.resident.get();
    let mut all = Vec::new();
    if is_large(residence.free) {
        all.push(
            "the allocator keeps pages without a live block for later: glibc gives them back on \
             malloc_trim(0), jemalloc with dirty_decay_ms:0, mimalloc with MIMALLOC_PURGE_DELAY=0"
                .to_owned(),
        );
    }
    if is_large(residence.between) {
        all.push(format!(
            "{} are pages of which less than half is live: free the blocks of the first lines, or \
             allocate long-lived blocks together, apart from short-lived ones",
            residence.sparse
        ));
    }
    all
}

/// What the live blocks of a group keep resident.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct PinnedGroup {
    pub key: GroupKey,
    /// The live blocks.
    pub held: Amount,
    pub pinned: Pinned,
}

impl PinnedGroup {
    /// The sum of groups, with an empty key.
    pub fn sum(groups: &[PinnedGroup]) -> PinnedGroup {
        let mut sum = PinnedGroup {
            key: "".into(),
            held: Amount::default(),
            pinned: Pinned::default(),
        };
        for group in groups {
            sum.held += group.held;
            sum.pinned += group.pinned;
        }
        sum
    }

    /// What the system gets back if the blocks are placed next to each other.
    pub fn together(&self) -> Bytes {
        let Pinned { alone, own, .. } = self.pinned;
        alone.saturating_sub(own.get().next_multiple_of(4096).into())
    }

    fn cells(&self, rank: String) -> Vec<Cell> {
        vec![
            Cell::styled(DIM, rank),
            Cell::new(self.pinned.unused.to_string()),
            Cell::new(self.pinned.alone.to_string()),
            Cell::new(self.together().to_string()),
            Cell::new(self.held.bytes.to_string()),
            Cell::new(text::grouped(self.held.blocks)),
        ]
    }
}

impl fmt::Display for ResidentTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A report must not appear in the next snapshot.
        let page = alloc_core_snapshot::seam::untraced(|| {
            let groups = self.all();
            let table = (!groups.is_empty()).then(|| self.table(&groups));
            let process = process(self.snapshot).into_iter().collect();
            let heading = self.heading();
            self.view.page(process, &heading, table, &self.notes())
        });
        f.write_str(&page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_allocator_has_a_line() {
        let mut snapshot = Snapshot::from_traces(vec![], 32);
        snapshot.set_metadata("revision", "1c4e7d");
        assert_eq!(allocators(&snapshot), [""; 0]);
        for (key, bytes) in [
            ("allocator.glibc.in use", "2097152"),
            ("allocator.glibc.free", "4096"),
            ("allocator.jemalloc.retained", "0"),
        ] {
            snapshot.set_metadata(key, bytes);
        }
        assert_eq!(
            allocators(&snapshot),
            [
                "glibc says: 4096 B free, 2048 KiB in use",
                "jemalloc says: 0 B retained"
            ]
        );
    }

    #[test]
    fn the_parts_add_up_and_the_largest_has_a_note() {
        let mut residence = Residence::default();
        residence.live = Bytes::mib(3);
        residence.free = Bytes::mib(60);
        residence.between = Bytes::mib(37);
        residence.sparse = Bytes::mib(30);
        residence.resident = Bytes::mib(101);
        assert_eq!(
            parts(&residence),
            "  3072 KiB    3.0%  live blocks
  37.0 MiB   37.0%  between live blocks, in the pages that they hold
  60.0 MiB   60.0%  pages of the allocator without a live block
       0 B    0.0%  the tracer
       0 B    0.0%  code and files
       0 B    0.0%  stacks and other mappings
   100 MiB  100.0%  total; the kernel counts 101 MiB"
        );
        let notes = advice(&residence);
        assert!(notes[0].starts_with("the allocator keeps pages") && notes.len() == 2);
        assert!(notes[1].starts_with("30.0 MiB are pages of which less than half is live"));
        residence.free = Bytes::mib(20);
        assert_eq!(advice(&residence).len(), 1);
    }
}
