//! [`OverBudget`] and [`BudgetWarning`]: what a check found.

use std::fmt;

use crate::scope::in_full;
use crate::{Bytes, Statistic};

/// A [`Budget`](super::Budget) that is exceeded.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// use alloc_core::{Budget, OverBudget};
///
/// let budget = Budget::new(100)?;
/// let kept = budget.run(|| vec![0_u8; 150]);
/// let Err(OverBudget { used, limit, top, .. }) = budget.check() else { unreachable!() };
/// assert_eq!((used.get(), limit.get(), top.len()), (150, 100, 0));
/// # drop(kept);
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OverBudget {
    /// The bytes live when the check was made.
    pub used: Bytes,
    /// The limit.
    pub limit: Bytes,
    /// The lines that hold the most, the largest first, five at most. Empty unless the budget was
    /// made [with stacks](super::Budget::with_stacks).
    pub top: Vec<Statistic>,
}

impl fmt::Display for OverBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (limit, used) = (in_full(self.limit), in_full(self.used));
        write!(f, "over budget: expected at most {limit}, found {used}")?;
        if let Some(most) = self.top.first() {
            let s = if most.count == 1 { "" } else { "s" };
            let (line, size, count) = (&most.key, most.size, most.count);
            write!(f, "; {line} holds {size} in {count} block{s}")?;
        }
        Ok(())
    }
}

impl std::error::Error for OverBudget {}

/// A [`Budget`](super::Budget) whose [warning level](super::Budget::warn_at) is exceeded.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// use std::sync::mpsc;
///
/// let (sender, warnings) = mpsc::channel();
/// let budget = alloc_core::Budget::new(100)?
///     .warn_at(50)
///     .on_warning(move |warning| sender.send(warning.to_string()).unwrap());
/// let kept = budget.run(|| vec![0_u8; 60]);
/// assert_eq!(
///     warnings.recv().unwrap(),
///     "60 B live, past the warning level of 50 B; the budget is 100 B"
/// );
/// # drop(kept);
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BudgetWarning {
    /// The bytes live when the check was made.
    pub used: Bytes,
    /// The warning level.
    pub level: Bytes,
    /// The limit.
    pub limit: Bytes,
}

impl fmt::Display for BudgetWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (used, level) = (in_full(self.used), in_full(self.level));
        let limit = self.limit;
        write!(
            f,
            "{used} live, past the warning level of {level}; the budget is {limit}"
        )
    }
}
