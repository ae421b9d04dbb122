//! [`Value`]: refuses, at compile time, work that is a future nobody polls.
//!
//! Method lookup decides whether a type is a future. A method that takes `self` comes before one
//! that takes `&self`, and only futures have the former.

use std::marker::PhantomData;

/// Stands for the type of a piece of work's value.
#[derive(Debug)]
pub struct Value<T>(PhantomData<fn() -> T>);

impl<T> Value<T> {
    /// Creates a marker whose type is inferred later.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Value<T> {
        Value(PhantomData)
    }
}

/// Work of any type: it has run.
pub trait OfAny {
    /// Returns the proof that the work has run.
    fn work(&self) -> Run {
        Run
    }
}

impl<T> OfAny for Value<T> {}

/// Work whose value is a future: it has not run.
pub trait OfFuture<F: IsFuture>: Sized {
    /// Returns a type that does not implement `HasRun`.
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

/// Accepts only work that has run.
pub fn expect_run<W: HasRun>(_: W) {}

impl HasRun for Run {}

/// Work that has run. Not implemented for futures.
#[diagnostic::on_unimplemented(
    message = "this work is a future, which is not run: put `async` before it, and the macro awaits it",
    label = "nothing runs here, so nothing is measured",
    note = "write `assert_memory!(async f(), ..)`, `assert_peak!(async f(), ..)`, `assert_no_alloc!(async f())`, \
            `assert_no_leak!(async f())`, `assert_memory_snapshot!(\"name\", async f())` or \
            `assert_no_growth!(rounds = 3, async || f().await)`, without `.await` after it"
)]
pub trait HasRun {}

/// A future, or a type that is not known yet and may turn out to be one.
#[diagnostic::on_unimplemented(
    message = "the type of this work's value must be known here",
    label = "only later code makes it `{Self}`",
    note = "write the type here, as in `let value: {Self} = assert_memory!(..)`: a future is refused, and this could \
            have been one"
)]
pub trait IsFuture {
    /// The type that [`expect_run`] checks.
    type Work;

    /// Returns a value of that type.
    fn work() -> Self::Work;
}

#[diagnostic::do_not_recommend]
impl<F: Future> IsFuture for F {
    type Work = NotRun<F>;

    fn work() -> NotRun<F> {
        NotRun(PhantomData)
    }
}

/// Runs the work of an assertion, unless it is a future.
///
/// The second arm is never taken. It comes after the first, so that type inference has already
/// determined the value's type.
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

/// Selects an arm of `__run!`.
#[derive(Debug)]
pub enum Arm {
    /// The arm that runs the work.
    First,
    /// The arm that only checks types.
    Never(std::convert::Infallible),
}
