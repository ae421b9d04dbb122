//! [`State`]: what the screen shows, and what a key changes.

use std::collections::HashSet;

use alloc_core_snapshot::{GroupBy, Metric, Snapshot};

use super::Refreshed;
use super::data::{Data, Shown};
use super::row::{Fold, Order, Row};
use super::search::Search;
use super::sources::Sources;
use super::table;
use super::tree::Branches;
use crate::stacks::Frames;

/// The keys by which rows are grouped, in the order in which a key switches them.
pub(super) const GROUPS: [GroupBy; 7] = [
    GroupBy::Line,
    GroupBy::Function,
    GroupBy::Module,
    GroupBy::Crate,
    GroupBy::Type,
    GroupBy::Label,
    GroupBy::Thread,
];

/// How rows are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    Tree,
    Table,
}

/// What becomes of the program that is watched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Live {
    /// There is none: the snapshot is a file.
    #[default]
    No,
    Running,
    Paused,
    Ended,
}

/// What the screen shows. It knows no terminal.
#[derive(Debug)]
pub(super) struct State {
    pub(super) data: Data,
    pub(super) layout: Layout,
    pub(super) by: GroupBy,
    pub(super) shown: Shown,
    pub(super) frames: Frames,
    pub(super) order: Order,
    pub(super) rows: Vec<Row>,
    /// The number of the selected row.
    pub(super) selected: usize,
    /// The number of the first visible row, and how many are visible.
    pub(super) top: usize,
    pub(super) room: usize,
    pub(super) search: Search,
    pub(super) has_source: bool,
    /// The first line of help that is visible; `None` without help.
    pub(super) help: Option<usize>,
    pub(super) live: Live,
    /// A sentence about the last refresh or the last key.
    pub(super) message: Option<String>,
    pub(super) sources: Sources,
    branches: Option<Branches>,
    /// The branches that are open; `None` before the first look at them.
    open: Option<HashSet<u64>>,
}

impl State {
    pub(super) fn new(data: Data) -> State {
        let shown = Shown::of(data.now.first_metric()).unwrap_or(Shown::Now);
        let mut state = State {
            data,
            layout: Layout::Tree,
            by: GroupBy::Line,
            shown,
            frames: Frames::default(),
            order: Order::default(),
            rows: Vec::new(),
            selected: 0,
            top: 0,
            room: 1,
            search: Search::default(),
            has_source: true,
            help: None,
            live: Live::No,
            message: None,
            sources: Sources::default(),
            branches: None,
            open: None,
        };
        state.rebuild();
        state
    }

    pub(super) fn compare_to(&mut self, old: Snapshot) {
        self.data.old = Some(old);
        if self.data.knows(Shown::Growth) {
            self.shown = Shown::Growth;
        }
        self.open = None;
        self.rebuild();
    }

    pub(super) fn set_live(&mut self) {
        self.live = Live::Running;
    }

    pub(super) fn is_live(&self) -> bool {
        self.live != Live::No
    }

    /// Takes what a source found.
    pub(super) fn refresh(&mut self, found: Refreshed) {
        if self.live == Live::Paused && matches!(found, Refreshed::Snapshot(_)) {
            return;
        }
        match found {
            Refreshed::Snapshot(newer) => {
                self.data.refresh(*newer);
                self.message = None;
                self.rebuild();
            }
            Refreshed::Unchanged => {}
            Refreshed::Failed(why) => self.message = Some(why),
            Refreshed::Ended(why) => {
                self.live = Live::Ended;
                self.message = Some(why);
            }
        }
    }

    pub(super) fn show(&mut self, shown: Shown) {
        match self.data.knows(shown) {
            true => self.set_shown(shown),
            false if shown == Shown::Growth => {
                self.message = Some("growth needs an older snapshot: view NEW OLD".to_owned());
            }
            false => {
                let name = shown.name(&self.data.now);
                self.message = Some(format!("the snapshot does not have {name}"));
            }
        }
    }

    pub(super) fn next_metric(&mut self, step: isize) {
        let known: Vec<Shown> = Shown::ALL
            .into_iter()
            .filter(|it| self.data.knows(*it))
            .collect();
        self.set_shown(stepped(&known, self.shown, step));
    }

    fn set_shown(&mut self, shown: Shown) {
        self.shown = shown;
        if let Some(branches) = &mut self.branches {
            branches.show(&self.data, shown);
        }
        self.list();
    }

    /// Switches to another key that the snapshot has: labels, threads and types may be missing.
    pub(super) fn next_group(&mut self, step: isize) {
        let known: Vec<GroupBy> = GROUPS.into_iter().filter(|it| self.has(*it)).collect();
        self.by = stepped(&known, self.by, step);
        self.open = None;
        self.rebuild();
    }

    fn has(&self, by: GroupBy) -> bool {
        let mut traces = self.data.now.traces().iter();
        match by {
            GroupBy::Type => traces.any(|it| it.type_name.is_some()),
            GroupBy::Label => traces.any(|it| it.label.is_some()),
            GroupBy::Thread => traces.any(|it| it.thread.is_some()),
            _ => true,
        }
    }

    pub(super) fn next_frames(&mut self) {
        self.frames = match self.frames {
            Frames::Folded => Frames::Mine,
            Frames::Mine => Frames::All,
            Frames::All => Frames::Folded,
        };
        self.open = None;
        self.rebuild();
    }

    pub(super) fn next_order(&mut self) {
        let orders = match self.layout {
            Layout::Tree => [Order::Size, Order::Own, Order::Blocks, Order::Name],
            Layout::Table => [Order::Size, Order::Blocks, Order::Average, Order::Name],
        };
        self.order = stepped(&orders, self.order, 1);
        self.list();
    }

    pub(super) fn switch_layout(&mut self) {
        self.layout = match self.layout {
            Layout::Tree => Layout::Table,
            Layout::Table => Layout::Tree,
        };
        if matches!(self.order, Order::Own | Order::Average) {
            self.order = Order::Size;
        }
        self.list();
        self.select(0);
    }

    pub(super) fn select(&mut self, row: usize) {
        self.selected = row.min(self.rows.len().saturating_sub(1));
        self.scroll();
    }

    pub(super) fn step(&mut self, rows: isize) {
        self.select(self.selected.saturating_add_signed(rows));
    }

    /// Sets how many rows are visible.
    pub(super) fn set_room(&mut self, rows: usize) {
        self.room = rows.max(1);
        self.scroll();
    }

    /// Moves the selected row into the visible part, and fills that.
    fn scroll(&mut self) {
        let last = self.selected.saturating_sub(self.room - 1);
        self.top = self.top.clamp(last, self.selected.max(last));
        self.top = self.top.min(self.rows.len().saturating_sub(self.room));
    }

    pub(super) fn row(&self) -> Option<&Row> {
        self.rows.get(self.selected)
    }

    /// Opens the selected branch; if it is open, goes to its first part.
    pub(super) fn open(&mut self) {
        match self.row().map(|it| (it.fold, it.id)) {
            Some((Fold::Closed, id)) => self.set_open([id], true),
            Some((Fold::Open, _)) => self.step(1),
            _ => {}
        }
    }

    /// Closes the selected branch; if it is not open, goes to the one around it.
    pub(super) fn close(&mut self) {
        let Some(row) = self.row() else { return };
        let (id, depth) = (row.id, row.depth);
        match row.fold {
            Fold::Open if depth > 0 => self.set_open([id], false),
            _ => {
                let above = self.rows[..self.selected].iter();
                let around = above.rev().position(|it| it.depth < depth);
                if let Some(rows) = around {
                    self.select(self.selected - 1 - rows);
                }
            }
        }
    }

    pub(super) fn toggle(&mut self) {
        match self.row().map(|it| it.fold) {
            Some(Fold::Open) => self.close(),
            Some(Fold::Closed) => self.open(),
            _ => {}
        }
    }

    /// Opens the largest part of the selected branch, the largest part of that, and so on.
    pub(super) fn open_largest(&mut self) {
        let (Some(id), Some(branches)) = (self.row().map(|it| it.id), &self.branches) else {
            return;
        };
        if self.layout == Layout::Tree {
            let path = branches.largest_path(id);
            let end = path.last().copied();
            self.set_open(path, true);
            self.select_id(end);
        }
    }

    pub(super) fn close_all(&mut self) {
        self.open = Some(HashSet::new());
        self.list();
        self.select(0);
    }

    /// Opens what is around a row of [`State::all_rows`], and selects it.
    pub(super) fn reveal(&mut self, all: &[Row], at: usize) {
        let mut depth = all[at].depth;
        let mut around = Vec::new();
        for row in all[..at].iter().rev() {
            if row.depth < depth {
                depth = row.depth;
                around.push(row.id);
            }
        }
        self.set_open(around, true);
        self.select_id(Some(all[at].id));
    }

    /// The rows of the layout, also those in branches that are not open.
    pub(super) fn all_rows(&self) -> Vec<Row> {
        match (self.layout, &self.branches) {
            (Layout::Tree, Some(branches)) => branches.all(self.order),
            _ => self.rows.clone(),
        }
    }

    fn set_open(&mut self, ids: impl IntoIterator<Item = u64>, is_open: bool) {
        let open = self.open.get_or_insert_default();
        for id in ids {
            match is_open {
                true => open.insert(id),
                false => open.remove(&id),
            };
        }
        self.list();
    }

    /// Makes the tree again, after a change of what it is made of.
    fn rebuild(&mut self) {
        let branches = Branches::of(&self.data, self.by, self.frames, self.shown);
        let is_new = self.open.is_none();
        self.open.get_or_insert_with(|| branches.large());
        self.branches = Some(branches);
        self.list();
        if is_new {
            self.select(self.largest());
        }
    }

    /// The row that allocated the most itself, among those that are visible.
    fn largest(&self) -> usize {
        let rows = self.rows.iter().enumerate();
        // NOTE: of equal ones, the first.
        let largest = rows.rev().max_by_key(|(_, it)| it.own.bytes);
        largest.map_or(0, |(at, _)| at)
    }

    /// Lists the rows again. The same one stays selected.
    fn list(&mut self) {
        let selected = self.row().map(|it| it.id);
        self.rows = match (self.layout, &self.branches, &self.open) {
            (Layout::Tree, Some(branches), Some(open)) => branches.rows(open, self.order),
            _ => table::rows(&self.data, self.by, self.frames, self.shown, self.order),
        };
        self.select_id(selected);
    }

    fn select_id(&mut self, id: Option<u64>) {
        let at = self.rows.iter().position(|it| Some(it.id) == id);
        self.select(at.unwrap_or(self.selected));
    }

    /// Whether rows can be marked that grew since the last refresh.
    pub(super) fn marks_growth(&self) -> bool {
        self.data.before.is_some() && self.data.now.knows(Metric::Current)
    }
}

/// What is this many places further in a list that goes around.
fn stepped<T: Copy + PartialEq>(list: &[T], from: T, step: isize) -> T {
    let at = list.iter().position(|it| *it == from).unwrap_or(0) as isize;
    match list.len() as isize {
        0 => from,
        len => list[(at + step).rem_euclid(len) as usize],
    }
}
