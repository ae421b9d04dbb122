//! A check of a [`Budget`]: what is live now, against its levels.

use super::{Budget, BudgetWarning, Levels, OverBudget};
use crate::record::thread;
use crate::{Bytes, GroupBy, Statistic};

impl Budget {
    /// Whether the live bytes exceed the limit. It runs no callbacks.
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// // With a budget of zero, one byte is too much.
    /// let budget = alloc_core::Budget::new(0)?;
    /// assert!(!budget.over_budget());
    /// let kept = budget.run(|| vec![0_u8; 1]);
    /// assert!(budget.over_budget());
    /// drop(kept);
    /// assert!(!budget.over_budget());
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn over_budget(&self) -> bool {
        let used = self.limited.live_bytes(self.limit());
        used.is_some_and(|used| used > self.limit())
    }

    /// Checks the budget: runs the callbacks of levels that were crossed since the last check.
    ///
    /// # Errors
    ///
    /// [`OverBudget`] if the live bytes exceed the limit.
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// let budget = alloc_core::Budget::new(100)?;
    /// let kept = budget.run(|| vec![0_u8; 101]);
    /// assert_eq!(
    ///     budget.check().unwrap_err().to_string(),
    ///     "over budget: expected at most 100 B, found 101 B"
    /// );
    /// # drop(kept);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn check(&self) -> Result<(), OverBudget> {
        match self.excess() {
            None => Ok(()),
            Some((used, is_crossed)) => Err(self.report(used, is_crossed)),
        }
    }

    /// Does what [`check`](Self::check) does, without an error.
    pub(super) fn run_callbacks(&self) {
        // PERF: without a callback nobody sees the error, which may take long to make.
        if let Some((used, true)) = self.excess()
            && self.levels.limit.callback.is_some()
        {
            let over = self.report(used, true);
            // It is not the program's.
            thread::untraced(|| drop(over));
        }
    }

    /// The bytes live, if they exceed the limit, and whether this is the first check to find so.
    /// Runs the callback of the warning level.
    fn excess(&self) -> Option<(Bytes, bool)> {
        let Levels { limit, warning } = &**self.levels;
        let least = limit.bytes.min(warning.bytes);
        let mut used = self.limited.live_bytes(least)?;
        if warning.is_crossed_by(used) {
            self.warn(used);
            used = self.limited.live_bytes(least)?;
        }
        let is_crossed = limit.is_crossed_by(used);
        (used > limit.bytes).then_some((used, is_crossed))
    }

    #[cold]
    fn warn(&self, used: Bytes) {
        let Levels { limit, warning } = &**self.levels;
        if let Some(callback) = &warning.callback {
            callback(&BudgetWarning {
                used,
                level: warning.bytes,
                limit: limit.bytes,
            });
        }
    }

    /// Makes the error, and runs the callback if the limit was crossed.
    #[cold]
    fn report(&self, used: Bytes, is_crossed: bool) -> OverBudget {
        let limit = &self.levels.limit;
        let over = OverBudget {
            used,
            limit: limit.bytes,
            top: self.top(),
        };
        if let Some(callback) = &limit.callback
            && is_crossed
        {
            callback(&over);
        }
        over
    }

    /// The lines that hold the most, if stacks are counted.
    fn top(&self) -> Vec<Statistic> {
        /// How many lines an error has.
        const LINES: usize = 5;
        let Some(snapshot) = self.limited.snapshot() else {
            return Vec::new();
        };
        thread::untraced(|| {
            let mut lines = snapshot.statistics(GroupBy::Line);
            lines.truncate(LINES);
            drop(snapshot);
            lines
        })
    }
}
