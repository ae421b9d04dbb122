//! Reads the data that `alloc-core` recorded: snapshots, statistics, filters, the file format.
//!
//! In: plain numbers and addresses, or a file. Out: statistics by line, tracebacks, a file. It
//! never records.
//!
//! Programs use these items as `alloc_core::Snapshot` and so on. This crate is for tools that read
//! snapshots and record nothing, such as `alloc-report`: it needs no allocator, unwinder, libc or
//! symbolizer.

mod error;
mod escape;
mod file;
mod freed_by;
mod layouts;
mod lifetimes;
mod missing;
mod modules;
mod numbers;
mod process;
mod recorded;
mod residence;
mod resident;
mod sampling;
mod slack;
mod snapshot;
mod stack;
mod statistics;
mod symbolizer;
mod symbols;
mod types;
mod utc;
mod variables;

pub use error::Error;
pub use escape::Escaped;
pub use file::Names;
pub use freed_by::FreedBy;
pub use lifetimes::{Ages, Lifetimes};
pub use numbers::{Amount, Bytes, Counters, Health, TracedMemory};
pub use residence::{Pinned, Residence};
pub use resident::{ResidentMemory, resident_memory, resident_memory_of, resident_set_size};
pub use slack::Slack;
pub use snapshot::{MissingDebugInfo, Snapshot, Trace};
pub use stack::frame::{Frame, SourcePath};
pub use stack::origin::Origin;
pub use stack::traceback::{ChargeTo, Traceback};
pub use stack::traceback_text::TracebackText;
pub use statistics::filter::Filter;
pub use statistics::grouping::{GroupBy, Grouping, Metric, SortBy};
pub use statistics::pattern::FunctionPattern;
pub use statistics::{Freer, Frees, FreesRow, GroupKey, LabelStatistic, Statistic};
pub use symbolizer::Search as SymbolSearch;

/// Items for alloc-core and the symbolizer. Not part of the public interface.
#[doc(hidden)]
pub mod seam {
    pub use crate::process::{Muted, Process, mute, register, register_symbolizer, untraced};

    pub mod file {
        #[cfg(feature = "otlp")]
        pub use crate::file::otlp::{rejected, to_otlp};
        pub use crate::file::write::pages::{NoMemory, Pages, Zeroed};
        pub use crate::file::write::raw::{
            Callsite, Freed, Lifetimes, RawFile, Segment, Summary, Text,
        };
        pub use crate::file::write::reserve::Reserve;
        pub use crate::file::{Names, write_difference, write_named};
    }
    pub mod layouts {
        pub use crate::layouts::{Field, Layout, Layouts, Shape, Vtable};
    }
    pub mod lifetimes {
        pub use crate::lifetimes::{Ages, Lifetimes};
    }
    pub mod modules {
        pub use crate::modules::{FINGERPRINT, Module};
    }
    pub mod numbers {
        pub use crate::numbers::{Amount, Bytes, Counters, Health, TracedMemory};
    }
    pub mod origin {
        pub use crate::stack::origin::{Origin, is_surely_of_the_user, of};
    }
    pub mod package {
        pub use crate::stack::package::Crates;
    }
    pub mod recorded {
        pub use crate::recorded::{Recorded, RecordedCallsite, StackEnd};
    }
    pub mod sampling {
        pub use crate::sampling::{Interval, Rounding, Weighted, variance};
    }
    pub mod snapshot {
        pub use crate::snapshot::{
            ALLOCATOR_PREFIX, About, LABEL_SEPARATOR, Run, Snapshot, Unknown,
        };
    }
    pub mod symbolizer {
        pub use crate::missing::Missing;
        pub use crate::symbolizer::{Code, Frame, Named, Search, Symbolizer};
    }
    pub mod symbols {
        pub use crate::symbols::{resident, traceback_here};
    }
    pub mod types {
        pub use crate::types::{is_of_std, shown, shown_vtable};
    }
    pub mod utc {
        pub use crate::utc::to_text;
    }
    pub mod variables {
        pub use crate::variables::{Variable, Variables};
    }
}
