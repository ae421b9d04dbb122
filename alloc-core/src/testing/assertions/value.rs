//! What keeps the assertions from a future that nobody polls.
//!
//! Whether a value is a future is seen where a method of [`Value`] is looked up: one that takes
//! `self` comes before one that takes `&self`, and futures alone have it.

use std::marker::PhantomData;

/// What a piece of work comes to. It stands for the type only.
#[derive(Debug)]
pub struct Value<T>(PhantomData<fn() -> T>);

impl<T> Value<T> {
    /// Of a type that is yet to be told.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Value<T> {
        Value(PhantomData)
    }
}

/// Where the work is known to have run.
pub trait OfAny {
    /// It has run.
    fn work(&self) -> Run {
        Run
    }
}

impl<T> OfAny for Value<T> {}

/// Where the value is a future, and the work is still to be run.
pub trait OfFuture<F: IsFuture>: Sized {
    /// It is to be run.
    fn work(self) -> F::Work;
}

impl<F: IsFuture> OfFuture<F> for Value<F> {
    fn work(self) -> F::Work {
        F::work()
    }
}

/// Work that has run.
#[derive(Debug)]
pub struct Run;

/// A future that nobody has polled.
#[derive(Debug)]
pub struct NotRun<F>(PhantomData<fn() -> F>);

/// Takes work that has run only.
pub fn expect_run<W: HasRun>(_: W) {}

impl HasRun for Run {}

/// No future has run.
#[diagnostic::on_unimplemented(
    message = "this work is a future, which is not run: put `async` before it, and the macro awaits it",
    label = "nothing runs here, so nothing is measured",
    note = "write `assert_memory!(async f(), ..)`, `assert_peak!(async f(), ..)`, `assert_no_alloc!(async f())`, \
            `assert_no_leak!(async f())`, `assert_memory_snapshot!(\"name\", async f())` or \
            `assert_no_growth!(rounds = 3, async || f().await)`, without `.await` after it"
)]
pub trait HasRun {}

/// What is a future, or not known not to be one.
#[diagnostic::on_unimplemented(
    message = "the type of this work's value must be known here",
    label = "it is known to be `{Self}` further down only",
    note = "write the type here, as in `let value: {Self} = assert_memory!(..)`: a future is refused, and this could \
            have been one"
)]
pub trait IsFuture {
    /// What is asked whether it has run.
    type Work;

    /// One of these.
    fn work() -> Self::Work;
}

#[diagnostic::do_not_recommend]
impl<F: Future> IsFuture for F {
    type Work = NotRun<F>;

    fn work() -> NotRun<F> {
        NotRun(PhantomData)
    }
}

/// Runs the work of an assertion, if it is not a future.
///
/// The second arm is never taken. It comes second, so that the value's type is known by then where
/// it is told by what the value is for.
#[doc(hidden)]
#[macro_export]
#[collapse_debuginfo(yes)]
macro_rules! __run {
    (|$value:ident| $run:expr) => {{
        #[allow(unused_imports)]
        use $crate::__private::{OfAny as _, OfFuture as _};
        let $value = $crate::__private::Value::new();
        match $crate::__private::Arm::First {
            $crate::__private::Arm::First => $run,
            $crate::__private::Arm::Never(never) => {
                $crate::__private::expect_run($value.work());
                match never {}
            }
        }
    }};
}

/// Which arm is taken.
#[derive(Debug)]
pub enum Arm {
    /// This one.
    First,
    /// Not this one.
    Never(std::convert::Infallible),
}
