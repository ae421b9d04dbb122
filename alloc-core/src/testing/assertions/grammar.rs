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

/// Parses an estimate, the closure that builds the value, and terms.
///
/// The tokens come twice. The second copy shows whether the estimate begins with `value`. The first
/// has that identifier as the caller wrote it, so that the caller's expression sees it.
#[doc(hidden)]
#[macro_export]
#[collapse_debuginfo(yes)]
macro_rules! __assert_size {
    ([$value:ident $($all:tt)*] value . $($_:tt)*) => {
        $crate::__assert_size!(@value $value, $value $($all)*)
    };
    ([$($all:tt)*] | $($_:tt)*) => { $crate::__assert_size!(@estimate $($all)*) };
    (@value $value:ident, $estimate:expr, $($build:tt)+) => {
        $crate::__assert_size!(@build [|$value| $estimate] $($build)+)
    };
    (@estimate $estimate:expr, $($build:tt)+) => {
        $crate::__assert_size!(@build [$estimate] $($build)+)
    };
    (@build [$($estimate:tt)+] async move || $build:expr $(, $($term:tt)*)?) => {
        $crate::__assert_size!(@async [$($estimate)+] [async move || $build] $($($term)*)?)
    };
    (@build [$($estimate:tt)+] async || $build:expr $(, $($term:tt)*)?) => {
        $crate::__assert_size!(@async [$($estimate)+] [async || $build] $($($term)*)?)
    };
    (@build [$($estimate:tt)+] async $($other:tt)*) => {
        compile_error!("expected an async closure, as in `async || load().await`")
    };
    // NOTE: closures are made here, so that clippy does not find `|| build()` redundant.
    (@build [$($estimate:tt)+] || -> $type:ty $build:block $(, $($term:tt)*)?) => {
        $crate::__assert_size!(@run [$($estimate)+] [|| -> $type { $build }] $($($term)*)?)
    };
    (@build [$($estimate:tt)+] || $build:expr $(, $($term:tt)*)?) => {
        $crate::__assert_size!(@run [$($estimate)+] [|| $build] $($($term)*)?)
    };
    (@build [$($estimate:tt)+] $build:expr $(, $($term:tt)*)?) => {
        $crate::__assert_size!(@run [$($estimate)+] [$build] $($($term)*)?)
    };
    (@run [$($estimate:tt)+] [$($build:tt)+] $($term:tt)*) => {
        $crate::__private::assert_size(
            &$crate::__size_terms!([] $($term)*),
            $($build)+,
            $($estimate)+,
        )
    };
    (@async [$($estimate:tt)+] [$($build:tt)+] $($term:tt)*) => {
        $crate::__private::assert_size_async(
            &$crate::__size_terms!([] $($term)*),
            $($build)+,
            $($estimate)+,
        )
        .await
        .or_panic()
    };
    ($($other:tt)*) => {
        compile_error!(
            "expected an estimate and a closure that builds the value, as in \
             `value.heap_size(), || build()` or `|table: &Table| table.heap_size(), || build()`; \
             to compare with a number, write `assert_memory!(build(), leaked == (number))`"
        )
    };
}

/// Parses the terms of a comparison one by one. The brackets have those that are parsed.
#[doc(hidden)]
#[macro_export]
#[collapse_debuginfo(yes)]
macro_rules! __size_terms {
    ([$($term:expr,)*]) => { [$($term),*] as [$crate::__private::SizeTerm; _] };
    ([$($term:expr,)*] tolerance = $percent:literal % $(, $($more:tt)*)?) => {
        $crate::__size_terms!([
            $($term,)*
            $crate::__private::SizeTerm::Tolerance(
                $crate::__private::Tolerance::Percent(f64::from($percent))
            ),
        ] $($($more)*)?)
    };
    ([$($term:expr,)*] tolerance = ($number:expr) $(, $($more:tt)*)?) => {
        $crate::__size_terms!([
            $($term,)*
            $crate::__private::SizeTerm::Tolerance(
                $crate::__private::Tolerance::Bytes($crate::__number!(($number)))
            ),
        ] $($($more)*)?)
    };
    ([$($term:expr,)*] tolerance = $number:literal $unit:ident $(, $($more:tt)*)?) => {
        $crate::__size_terms!([
            $($term,)*
            $crate::__private::SizeTerm::Tolerance(
                $crate::__private::Tolerance::Bytes($crate::__number!($number $unit))
            ),
        ] $($($more)*)?)
    };
    ([$($term:expr,)*] size_of_val = $counts:literal $(, $($more:tt)*)?) => {
        $crate::__size_terms!([
            $($term,)*
            $crate::__private::SizeTerm::SizeOfVal($counts),
        ] $($($more)*)?)
    };
    ([$($term:expr,)*] threads = $threads:tt $(, $($more:tt)*)?) => {
        $crate::__size_terms!([
            $($term,)*
            $crate::__private::SizeTerm::Threads($crate::__threads!(= $threads)),
        ] $($($more)*)?)
    };
    ([$($term:expr,)*] $($other:tt)+) => {
        compile_error!(concat!(
            "expected `tolerance = 5 %`, `tolerance = 64 B`, `size_of_val = true` or \
             `threads = \"all\"`; found `",
            stringify!($($other)+),
            "`"
        ))
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
    (threads = $threads:tt) => {
        $crate::__private::Term::Threads($crate::__threads!(= $threads))
    };
    (threads $($other:tt)*) => { $crate::__threads!($($other)*) };
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
macro_rules! __threads {
    (= "all") => { $crate::__private::Threads::All };
    (= "own") => { $crate::__private::Threads::Own };
    (= none) => { $crate::__private::Threads::None };
    ($($other:tt)*) => {
        compile_error!(concat!(
            "expected `threads = \"all\"` or `threads = \"own\"`; found `threads ",
            stringify!($($other)*),
            "`"
        ))
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
