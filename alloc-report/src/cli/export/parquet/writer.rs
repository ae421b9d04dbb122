//! Writes a snapshot's rows as a Parquet file, in row groups.

use std::io::Write;
use std::sync::Arc;

use alloc_core_snapshot::{Snapshot, Trace};
use anyhow::{Result, bail};
use parquet::basic::Compression;
use parquet::column::writer::ColumnWriter;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use super::origin::Origin;
use super::rows::{Cell, Rows};

/// The columns, in the language of Parquet. The partition adds `service` and `day`.
pub(super) const SCHEMA: &str = include_str!("heap.schema");

/// The version of the schema. It grows if a column changes its meaning or goes; a new column keeps
/// it.
pub(super) const SCHEMA_VERSION: &str = "1";

/// The key of the version in the file's metadata.
pub(super) const SCHEMA_VERSION_KEY: &str = "alloc-report.schema_version";

/// The rows of a row group.
///
/// PERF: a row group is the unit in which engines read in parallel. Most snapshots are one.
const GROUP: usize = 1 << 15;

/// The rows that are converted at a time.
const BATCH: usize = 1 << 10;

/// The bytes that the distinct frames of a row group may have. Beyond it, stacks are written in
/// full, which takes ten times the space.
const FRAMES: usize = 16 << 20;

/// Writes the rows of a snapshot. The memory for it does not grow with their number, except for
/// each frame's text once.
pub(super) fn write<W: Write + Send>(
    output: W,
    snapshot: &Snapshot,
    origin: &Origin,
) -> Result<()> {
    write_groups(output, snapshot, origin, GROUP)
}

/// Writes row groups of so many rows.
fn write_groups<W: Write + Send>(
    output: W,
    snapshot: &Snapshot,
    origin: &Origin,
    rows_of_group: usize,
) -> Result<()> {
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let version = KeyValue::new(SCHEMA_VERSION_KEY.to_owned(), SCHEMA_VERSION.to_owned());
    let stack = ColumnPath::from(["stack", "list", "element"].map(str::to_owned).to_vec());
    let properties = WriterProperties::builder()
        .set_created_by(concat!("alloc-report version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_key_value_metadata(Some(vec![version]))
        .set_compression(Compression::SNAPPY)
        .set_column_dictionary_page_size_limit(stack, FRAMES)
        .build();
    let mut file = SerializedFileWriter::new(output, schema, Arc::new(properties))?;
    let leaves = file.schema_descr().columns().iter();
    let names: Vec<String> = leaves.map(|it| it.path().string()).collect();
    let mut rows = Rows::of(snapshot, origin);
    for group in snapshot.traces().chunks(rows_of_group) {
        let mut writer = file.next_row_group()?;
        let mut names = names.iter();
        while let (Some(mut column), Some(name)) = (writer.next_column()?, names.next()) {
            for batch in group.chunks(BATCH) {
                write_batch(&mut column, &mut rows, name, batch)?;
            }
            column.close()?;
        }
        writer.close()?;
    }
    file.close()?;
    Ok(())
}

/// Converts and writes the cells of some rows of a column.
fn write_batch<'a>(
    column: &mut SerializedColumnWriter<'_>,
    rows: &mut Rows<'a>,
    name: &str,
    batch: &'a [Trace],
) -> Result<()> {
    let (mut texts, mut numbers, mut flags) = (Vec::new(), Vec::new(), Vec::new());
    // NOTE: a level of 1 means that a value is there; a repetition of 1, that it continues a list.
    let (mut levels, mut repetitions) = (Vec::new(), Vec::new());
    for trace in batch {
        let Some(cell) = rows.cell(name, trace) else {
            bail!("expected a column of the schema, found {name}");
        };
        match cell {
            Cell::Text(text) => {
                levels.push(i16::from(text.is_some()));
                texts.extend(text);
            }
            Cell::Number(number) => {
                levels.push(i16::from(number.is_some()));
                numbers.extend(number);
            }
            Cell::Flag(flag) => flags.push(flag),
            Cell::Texts(list) if list.is_empty() => {
                levels.push(0);
                repetitions.push(0);
            }
            Cell::Texts(list) => {
                levels.extend(list.iter().map(|_| 1));
                repetitions.extend((0..list.len()).map(|at| i16::from(at > 0)));
                texts.extend(list);
            }
        }
    }
    // A list that is absent is not the same as one of no length.
    let there = |it: Vec<i16>| (!it.is_empty()).then_some(it);
    let (levels, repetitions) = (there(levels), there(repetitions));
    let (levels, repetitions) = (levels.as_deref(), repetitions.as_deref());
    match column.untyped() {
        ColumnWriter::ByteArrayColumnWriter(it) => it.write_batch(&texts, levels, repetitions),
        ColumnWriter::Int64ColumnWriter(it) => it.write_batch(&numbers, levels, None),
        ColumnWriter::BoolColumnWriter(it) => it.write_batch(&flags, None, None),
        _ => bail!("expected a column of text, numbers or flags, found {name}"),
    }?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io;
    use std::time::{Duration, SystemTime};

    use alloc_core_snapshot::seam::snapshot::About;
    use alloc_core_snapshot::{Amount, Counters, Frame, Traceback};

    use super::*;

    #[global_allocator]
    static ALLOC: alloc_core::TraceAlloc = alloc_core::TraceAlloc::system();

    /// A snapshot of so many callsites, whose stacks are made of the same frames.
    fn snapshot(callsites: usize) -> Snapshot {
        let frames: Vec<Frame> = (0..1000)
            .map(|at| Frame::new(Some(&format!("demo::f{at}")), Some("src/a.rs"), at, 1))
            .collect();
        let traces = (0..callsites).map(|at| {
            let stack = [at % 1000, at / 1000 % 1000, 7, 8].map(|it| frames[it].clone());
            let current = Amount::new(at as u64, 1);
            let counters = Counters {
                current,
                ..Counters::default()
            };
            Trace::new(Traceback::new(stack.to_vec()), counters)
        });
        let about = About {
            taken_at: SystemTime::UNIX_EPOCH + Duration::from_secs(1),
            process_id: 7,
            program: "demo".to_owned(),
            metadata: BTreeMap::new(),
            ..About::default()
        };
        Snapshot::of_named(traces.collect(), None, 32, about)
    }

    /// The most bytes that writing so many row groups takes.
    fn memory(groups: usize) -> u64 {
        let snapshot = snapshot(groups * BATCH);
        let options = crate::export::options::OriginOptions::default();
        let origin = Origin::of(&snapshot, &options).unwrap();
        let work = || write_groups(io::sink(), &snapshot, &origin, BATCH).unwrap();
        alloc_core::measure(work).usage.peak.bytes.get()
    }

    #[test]
    fn memory_does_not_grow_with_the_number_of_rows() {
        // The frames are the same, and all are there in the first row group.
        let (two, six) = (memory(2), memory(6));
        // Each row group adds what the end of the file says of its columns.
        let end_of_file = 4 * 64 * 1024;
        assert!(
            six < two + end_of_file,
            "{two} bytes for 2 row groups, {six} for 6"
        );
    }
}
