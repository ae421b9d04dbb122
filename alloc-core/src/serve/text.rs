//! A profile as text, in the format of gperftools, which `go tool pprof` reads.

use std::io::Write as _;

use super::response::{Body, Response};
use crate::process::read_tables::read_tables;
use crate::snapshot::file::Pages;
use crate::write::{Packed, Reserve};
use crate::{Error, control, process};

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
    // NOTE: its numbers stand for all blocks, so the heading is not that of a sample.
    let _reserve = Reserve::take().ok_or_else(|| Error::out_of_memory("a profile as text"))?;
    let mut text = Text(Pages::new());
    let heap = control::traced_memory();
    let total = crate::process::read_tables::total()?;
    text.line(format_args!(
        "heap profile: 0: {} [{}: {}] @ heapprofile",
        heap.current.get(),
        total.blocks,
        total.bytes.get(),
    ))?;
    read_tables(|seen| {
        let (live, all) = (seen.counters.current, seen.counters.total);
        text.write(format_args!(
            "{}: {} [{}: {}] @",
            live.blocks,
            live.bytes.get(),
            all.blocks,
            all.bytes.get()
        ))?;
        for address in seen.stack {
            text.write(format_args!(" {address:#x}"))?;
        }
        text.line(format_args!(""))
    })?;
    text.line(format_args!("\nMAPPED_LIBRARIES:"))?;
    let mut failed = None;
    process::modules::for_each(&mut |module| {
        let path = String::from_utf8_lossy(module.path);
        let written = text.line(format_args!(
            "{:x}-{:x} r-xp {:08x} 00:00 0  {path}",
            module.start, module.end, module.file_offset
        ));
        failed = failed.take().or(written.err());
    });
    failed.map_or(Ok(()), Err)?;
    let body = Body::Packed(Packed::of(text.0));
    Ok(Response::new(200, "text/plain; charset=utf-8", body))
}

/// Text outside of the heap.
struct Text(Pages<u8>);

impl Text {
    fn write(&mut self, text: std::fmt::Arguments<'_>) -> Result<(), Error> {
        self.write_fmt(text).map_err(Error::from)
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) -> Result<(), Error> {
        self.write(format_args!("{text}\n"))
    }
}

impl std::io::Write for Text {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let extended = self.0.extend(bytes);
        extended.map_err(|_| std::io::ErrorKind::OutOfMemory)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
