//! The hidden macros that parse the terms of an assertion and pass them on.

#[doc(hidden)]
#[macro_export]
#[collapse_debuginfo(yes)]
macro_rules! __assert_no_growth {
    ([$rounds:expr, $warmup:expr, $threads:tt] async move || $work:expr $(,)?) => {
        $crate::__assert_no_growth!(@ [$rounds, $warmup, $threads] async move || $work)
    };
    ([$rounds:expr, $warmup:expr, $threads:tt] async || $work:expr $(,)?) => {
        $crate::__assert_no_growth!(@ [$rounds, $warmup, $threads] async || $work)
    };
    ([$($options:tt)*] async $($other:tt)*) => {
        compile_error!("expected an async closure, as in `async || service.handle().await`")
    };
    ([$rounds:expr, $warmup:expr, $threads:tt] $work:expr $(,)?) => {
        $crate::__run!(|value| {
            $crate::__private::assert_no_growth(
                $rounds,
                $warmup,
                $crate::__term!(threads = $threads),
                $work,
                &value,
            )
        })
    };
    (@ [$rounds:expr, $warmup:expr, $threads:tt] $($work:tt)+) => {
        $crate::__run!(|value| {
            $crate::__private::assert_no_growth_async(
                $rounds,
                $warmup,
                $crate::__term!(threads = $threads),
                $($work)+,
                &value,
            )
            .await
            .or_panic()
        })
    };
}

/// Parses async work and its terms. The terms in brackets come first.
#[doc(hidden)]
#[macro_export]
#[collapse_debuginfo(yes)]
macro_rules! __assert_async {
    ([$($term:tt)*] move $work:block $(, $($more:tt)*)?) => {
        $crate::__assert_async!(@ [async move $work] $($term)* $($($more)*)?)
    };
    ([$($term:tt)*] $work:block $(, $($more:tt)*)?) => {
        $crate::__assert_async!(@ [async $work] $($term)* $($($more)*)?)
    };
    ([$($term:tt)*] $work:expr $(, $($more:tt)*)?) => {
        $crate::__assert_async!(@ [async { $work.await }] $($term)* $($($more)*)?)
    };
    (@ [$($work:tt)+] $($term:tt)*) => {
        $crate::__run!(|value| {
            $crate::__private::assert_memory_async($($work)+, &$crate::__terms!($($term)*), &value)
                .await
                .or_panic()
        })
    };
}

#[doc(hidden)]
#[macro_export]
#[collapse_debuginfo(yes)]
macro_rules! __terms {
    (threads = $threads:tt $(,)?) => { $crate::__terms!() };
    (peak) => { $crate::__terms!() };
    ($what:ident $number:literal $($rest:tt)*) => {
        compile_error!(concat!(
            "expected <=, >= or == before the number, as in `",
            stringify!($what),
            " <= 64 KiB`; found `",
            stringify!($what $number $($rest)*),
            "`"
        ))
    };
    ($($what:ident $operator:tt $number:tt $($unit:ident)?),+ $(,)?) => {
        [$($crate::__term!($what $operator $number $($unit)?)),+]
    };
    () => { compile_error!("expected a limit after the work, as in `peak <= 64 KiB`; found none") };
    ($($other:tt)+) => {
        compile_error!(concat!(
            "expected limits, as in `peak <= 64 KiB, allocations == 3`; found `",
            stringify!($($other)+),
            "`"
        ))
    };
}

#[doc(hidden)]
#[macro_export]
#[collapse_debuginfo(yes)]
macro_rules! __term {
    (threads = "all") => { $crate::__private::Term::Threads($crate::__private::Threads::All) };
    (threads = "own") => { $crate::__private::Term::Threads($crate::__private::Threads::Own) };
    (threads = none) => { $crate::__private::Term::Threads($crate::__private::Threads::None) };
    (threads $($other:tt)*) => {
        compile_error!(concat!(
            "expected `threads = \"all\"` or `threads = \"own\"`; found `threads ",
            stringify!($($other)*),
            "`"
        ))
    };
    ($what:ident $operator:tt $number:tt $($unit:ident)?) => {
        $crate::__private::Term::Limit($crate::__private::Limit {
            quantity: $crate::__quantity!($what $($unit)?),
            comparison: $crate::__comparison!($operator),
            number: $crate::__number!($number $($unit)?),
        })
    };
}

#[doc(hidden)]
#[macro_export]
#[collapse_debuginfo(yes)]
macro_rules! __quantity {
    (peak $($unit:ident)?) => { $crate::__private::Quantity::Peak };
    (allocated $($unit:ident)?) => { $crate::__private::Quantity::Allocated };
    (leaked $($unit:ident)?) => { $crate::__private::Quantity::Leaked };
    (allocations) => { $crate::__private::Quantity::Allocations };
    (reallocations) => { $crate::__private::Quantity::Reallocations };
    ($($other:tt)*) => {
        compile_error!(concat!(
            "expected peak, allocated or leaked with bytes, or allocations or reallocations with a number \
             without a unit; found ",
            stringify!($($other)*)
        ))
    };
}

#[doc(hidden)]
#[macro_export]
#[collapse_debuginfo(yes)]
macro_rules! __comparison {
    (<=) => {
        $crate::__private::Comparison::AtMost
    };
    (>=) => {
        $crate::__private::Comparison::AtLeast
    };
    (==) => {
        $crate::__private::Comparison::Exactly
    };
    ($other:tt) => {
        compile_error!(concat!("expected <=, >= or ==; found ", stringify!($other)))
    };
}

#[doc(hidden)]
#[macro_export]
#[collapse_debuginfo(yes)]
macro_rules! __number {
    (($number:expr)) => { $crate::Bytes::from($number).get() };
    ($number:literal) => { $number };
    ($number:literal B) => { $number };
    ($number:literal KiB) => { const { $number * 1024 } };
    ($number:literal MiB) => { const { $number * 1024 * 1024 } };
    ($number:literal GiB) => { const { $number * 1024 * 1024 * 1024 } };
    ($($other:tt)*) => {
        compile_error!(concat!(
            "expected a number with B, KiB, MiB or GiB, or an expression in parentheses; found ",
            stringify!($($other)*)
        ))
    };
}
