//! A profile as text, in the format of gperftools, which `go tool pprof` reads.

use std::io::{BufWriter, Write as _};

use super::helper::nameless_file;
use super::response::{Body, Response};
use crate::process::{modules, read_tables};
use crate::write::Reserve;
use crate::{Error, control};

/// The heap as text: a line for each callsite, then the modules.
///
/// ```text
/// heap profile: 2: 3072 [5: 9000] @ heapprofile
/// 1: 2048 [1: 2048] @ 0x55d0c3a1 0x55d0c3f0      live blocks and bytes [ever allocated]
///
/// MAPPED_LIBRARIES:
/// 55d0c000-55d0d000 r-xp 00001000 00:00 0  /srv/app
/// ```
pub(super) fn response() -> Result<Response, Error> {
    let _reserve = Reserve::take().ok_or_else(|| Error::out_of_memory("a profile as text"))?;
    // NOTE: the text of a large program has a hundred megabytes, so it is not held in memory.
    let mut text = BufWriter::new(nameless_file()?);
    let heap = control::traced_memory();
    let total = read_tables::total()?;
    // NOTE: its numbers stand for all blocks, so the heading is not that of a sample.
    writeln!(
        text,
        "heap profile: 0: {} [{}: {}] @ heapprofile",
        heap.current.get(),
        total.blocks,
        total.bytes.get(),
    )?;
    read_tables::read_tables(|seen| {
        let (live, all) = (seen.counters.current, seen.counters.total);
        write!(
            text,
            "{}: {} [{}: {}] @",
            live.blocks,
            live.bytes.get(),
            all.blocks,
            all.bytes.get()
        )?;
        for address in seen.stack {
            write!(text, " {address:#x}")?;
        }
        Ok(writeln!(text)?)
    })?;
    writeln!(text, "\nMAPPED_LIBRARIES:")?;
    let mut written = Ok(());
    modules::for_each(&mut |module| {
        let path = String::from_utf8_lossy(module.path);
        let line = writeln!(
            text,
            "{:x}-{:x} r-xp {:08x} 00:00 0  {path}",
            module.start, module.end, module.file_offset
        );
        if written.is_ok() {
            written = line;
        }
    });
    written?;
    let file = text.into_inner().map_err(|error| error.into_error())?;
    let len = file.metadata()?.len();
    let body = Body::File(file, len);
    Ok(Response::new(200, "text/plain; charset=utf-8", body))
}
