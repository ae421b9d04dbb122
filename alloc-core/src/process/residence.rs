//! [`Pages`]: the resident pages of this process, and what holds them.
//!
//! In: the live-block index, `/proc/self/maps` and `/proc/self/pagemap`. Out: a [`Residence`], and
//! what each callsite keeps resident. Never: a stop of the program.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use crate::record::session::TABLES;
use crate::snapshot::file::{Pages, Zeroed};
use crate::system::{arena, hooks};
use crate::tables::block::Block;
use crate::tables::blocks::Granule;
use crate::tables::callsites::CallsiteId;
use crate::{Bytes, Error, Pinned, Residence, control, resident_memory};

/// The size of the pages that `pagemap` counts.
const PAGE: usize = 4096;

/// What each callsite keeps resident.
pub(crate) struct PinnedPages {
    pub(crate) residence: Residence,
    by_callsite: Pages<Counted>,
    /// The session that the callsites belong to.
    session: u64,
}

/// [`Pinned`], in bytes.
#[derive(Clone, Copy, Default)]
struct Counted {
    unused: u64,
    alone: u64,
    own: u64,
}

// SAFETY: integers, for which zero is a valid value.
unsafe impl Zeroed for Counted {}

/// A mapping of the process.
#[derive(Clone, Copy)]
struct Mapping {
    start: usize,
    end: usize,
    /// Whether a file is mapped.
    is_file: bool,
    /// Whether the allocator has it, whatever is in it.
    is_heap: bool,
    /// Resident pages but for the tracer's own, and those of them with a live block.
    resident: usize,
    with_blocks: usize,
}

// SAFETY: integers and flags, for which zero is a valid value.
unsafe impl Zeroed for Mapping {}

impl PinnedPages {
    /// Reads the pages of this process, while other threads go on.
    ///
    /// # Implementation
    ///
    /// First, all pages of all mappings are counted. Then the index is swept in the order of
    /// addresses: each page that has blocks is counted with what is live in it, and its unused
    /// bytes are shared out among their callsites.
    pub(crate) fn read() -> Result<PinnedPages, Error> {
        control::reading(|config| {
            if config.sampling().is_some() || config.traceback_limit() == 0 {
                let needs = "where the resident memory goes needs a session that records every block \
                             with its stack";
                return Err(Error::invalid_config(needs.to_owned()));
            }
            let pages = Sweep::whole(false)?;
            if pages.off() <= pages.residence.resident.get() / 50 {
                return Ok(pages);
            }
            // After a fork, pages are shared with the other process.
            let with_shared = Sweep::whole(true)?;
            Ok(match with_shared.off() < pages.off() {
                true => with_shared,
                false => pages,
            })
        })?
    }

    /// By how much the sum of the parts differs from what the kernel counts.
    fn off(&self) -> u64 {
        let Residence { resident, .. } = self.residence;
        self.residence.sum().get().abs_diff(resident.get())
    }

    /// What the live blocks of a callsite keep resident. NOTE: only while the tables cannot be
    /// cleared.
    pub(crate) fn of(&self, callsite: CallsiteId) -> Pinned {
        let counted = self.by_callsite.get(callsite.get() as usize);
        let counted = counted.filter(|_| self.session == control::session());
        let Counted { unused, alone, own } = counted.copied().unwrap_or_default();
        Pinned {
            unused: unused.into(),
            alone: alone.into(),
            own: own.into(),
        }
    }
}

/// A block in the page that is swept: its callsite, and how many of its bytes are in the page.
#[derive(Clone, Copy)]
struct Holder {
    callsite: u32,
    bytes: u32,
}

/// The most callsites that are told apart in a page: as many blocks of 32 bytes as it has room for.
const MOST_HOLDERS: usize = PAGE / 32;

struct Sweep {
    presence: Presence,
    mappings: Pages<Mapping>,
    /// The page that is swept, and what of it is live.
    page: usize,
    live: usize,
    holders: [Holder; MOST_HOLDERS],
    holder_count: usize,
    sums: Residence,
    by_callsite: Pages<Counted>,
}

impl Sweep {
    /// Sweeps all pages; those that other mappings may have, too, if `counts_shared`.
    fn whole(counts_shared: bool) -> Result<PinnedPages, Error> {
        let mut sweep = Sweep::begin(counts_shared)?;
        sweep.count_all()?;
        let mut failed = None;
        let granule = TABLES.blocks.granule();
        TABLES.blocks.for_each(|place, block| {
            failed = failed.take().or(sweep.block(granule, place, block).err());
        });
        failed.map_or(Ok(()), Err)?;
        sweep.finish()
    }

    fn begin(counts_shared: bool) -> Result<Sweep, Error> {
        Ok(Sweep {
            presence: Presence::open(counts_shared)?,
            mappings: mappings()?,
            page: 0,
            live: 0,
            holders: [Holder {
                callsite: 0,
                bytes: 0,
            }; MOST_HOLDERS],
            holder_count: 0,
            sums: Residence::default(),
            by_callsite: Pages::zeroed(CallsiteId::MOST as usize + 1)?,
        })
    }

    /// Counts the resident pages of each mapping, and of the tracer.
    fn count_all(&mut self) -> Result<(), Error> {
        let mut own = own_ranges()?;
        own.sort_unstable();
        for mapping in self.mappings.iter_mut() {
            let mut next = own.partition_point(|&(_, end)| end <= mapping.start);
            let mut tracer = 0;
            for page in mapping.start / PAGE..mapping.end / PAGE {
                if !self.presence.of(page)? {
                    continue;
                }
                let address = page * PAGE;
                while own.get(next).is_some_and(|&(_, end)| end <= address) {
                    next += 1;
                }
                match own.get(next) {
                    Some(&(start, _)) if start <= address => tracer += 1,
                    _ => mapping.resident += 1,
                }
            }
            self.sums.tracer += bytes(tracer * PAGE);
        }
        Ok(())
    }

    /// Adds a block. Blocks come in the order of their addresses.
    fn block(&mut self, granule: Granule, place: usize, block: Block) -> Result<(), Error> {
        let start = match granule <= Granule::WITH_STARTS {
            true => block.start(place),
            false => place,
        };
        let (least, most) = block.sizes();
        let end = start.saturating_add((least + most) / 2);
        let mut at = start;
        loop {
            let page = at / PAGE;
            if page != self.page {
                self.finish_page()?;
                self.page = page;
            }
            let until = end.min((page + 1) * PAGE);
            self.hold(block.callsite(), until - at);
            at = until;
            if at >= end {
                return Ok(());
            }
        }
    }

    /// Adds bytes of a callsite to the page that is swept.
    fn hold(&mut self, callsite: CallsiteId, bytes: usize) {
        self.live += bytes;
        let (callsite, bytes) = (callsite.get(), bytes as u32);
        let known = self.holders[..self.holder_count].iter_mut();
        if let Some(known) = known.rev().find(|it| it.callsite == callsite) {
            known.bytes += bytes;
        } else if let Some(new) = self.holders.get_mut(self.holder_count) {
            *new = Holder { callsite, bytes };
            self.holder_count += 1;
        }
    }

    /// Counts the page that is swept, if it is resident.
    fn finish_page(&mut self) -> Result<(), Error> {
        let (live, count) = (self.live.min(PAGE), self.holder_count);
        (self.live, self.holder_count) = (0, 0);
        if count == 0 || !self.presence.of(self.page)? {
            return Ok(());
        }
        let address = self.page * PAGE;
        let after = self.mappings.partition_point(|it| it.start <= address);
        // NOTE: a mapping may be newer than the list of mappings.
        let Some(mapping) = after.checked_sub(1).map(|at| &mut self.mappings[at]) else {
            return Ok(());
        };
        if address >= mapping.end {
            return Ok(());
        }
        mapping.with_blocks += 1;
        let unused = PAGE - live;
        self.sums.live += bytes(live);
        self.sums.between += bytes(unused);
        if live < PAGE / 2 {
            self.sums.sparse += bytes(PAGE);
        }
        for holder in &self.holders[..count] {
            let counted = &mut self.by_callsite[holder.callsite as usize];
            // NOTE: a block of no bytes holds its page as well.
            let share = unused as u64 * u64::from(holder.bytes.max(1)) / live.max(1) as u64;
            counted.unused += share.min(unused as u64);
            if count == 1 {
                counted.alone += PAGE as u64;
                counted.own += u64::from(holder.bytes);
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<PinnedPages, Error> {
        self.finish_page()?;
        let mut sums = self.sums;
        for mapping in self.mappings.iter() {
            let rest = bytes(mapping.resident.saturating_sub(mapping.with_blocks) * PAGE);
            let part = match mapping {
                it if it.is_file => &mut sums.files,
                it if it.is_heap || it.with_blocks > 0 => &mut sums.free,
                _ => &mut sums.other,
            };
            *part += rest;
        }
        sums.resident = resident_memory()?.rss;
        if self.presence.counts_shared {
            // NOTE: the page of zeros is counted as well, and it is the tracer's tables that are read
            // before they are written.
            let surplus = sums.sum().saturating_sub(sums.resident);
            sums.tracer = sums.tracer.saturating_sub(surplus);
        }
        Ok(PinnedPages {
            residence: sums,
            by_callsite: self.by_callsite,
            session: control::session(),
        })
    }
}

fn bytes(bytes: usize) -> Bytes {
    Bytes::new(bytes as u64)
}

/// Which pages are resident, read in windows.
///
/// Specification: <https://docs.kernel.org/admin-guide/mm/pagemap.html>.
struct Presence {
    file: File,
    counts_shared: bool,
    first: usize,
    window: [u64; WINDOW],
    len: usize,
}

const WINDOW: usize = 512;

impl Presence {
    fn open(counts_shared: bool) -> Result<Presence, Error> {
        Ok(Presence {
            file: File::open("/proc/self/pagemap")?,
            counts_shared,
            first: 0,
            window: [0; WINDOW],
            len: 0,
        })
    }

    /// Whether a page is resident.
    ///
    /// NOTE: the page of zeros, which untouched memory shows when it is read, is not counted as
    /// resident. It is in memory, of no file, and not exclusively this mapping's. So are pages that
    /// are shared with another process since a fork.
    fn of(&mut self, page: usize) -> Result<bool, Error> {
        const PRESENT: u64 = 1 << 63;
        const OF_FILE: u64 = 1 << 61;
        const EXCLUSIVE: u64 = 1 << 56;
        if !(self.first..self.first + self.len).contains(&page) {
            self.fill(page)?;
        }
        let word = self.window.get(page - self.first).copied().unwrap_or(0);
        let is_ours = word & (OF_FILE | EXCLUSIVE) != 0;
        Ok(word & PRESENT != 0 && (is_ours || self.counts_shared))
    }

    fn fill(&mut self, page: usize) -> Result<(), Error> {
        let mut buffer = [0_u8; 8 * WINDOW];
        let read = self.file.read_at(&mut buffer, 8 * page as u64)?;
        let words = buffer[..read].as_chunks::<8>().0;
        for (word, bytes) in self.window.iter_mut().zip(words) {
            *word = u64::from_ne_bytes(*bytes);
        }
        // Pages beyond the end of the file, such as the kernel's, are not ours.
        self.window[words.len()..].fill(0);
        (self.first, self.len) = (page, WINDOW);
        Ok(())
    }
}

/// The ranges of memory that the tracer reserved.
fn own_ranges() -> Result<Vec<(usize, usize)>, Error> {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    let mut failed = None;
    arena::for_each_reservation(|start, len| match ranges.try_reserve(1) {
        Ok(()) => ranges.push((start, start + len)),
        Err(error) => failed = Some(error),
    });
    failed.map_or(Ok(ranges), |error| Err(error.into()))
}

/// The mappings of the process, in the order of their addresses.
fn mappings() -> Result<Pages<Mapping>, Error> {
    let mut mappings = Pages::new();
    let mut line = Line::default();
    let mut pushed = Ok(());
    let is_whole = hooks::read_file(c"/proc/self/maps", |byte| {
        if byte != b'\n' {
            return line.push(byte);
        }
        if let Some(mapping) = std::mem::take(&mut line).mapping()
            && pushed.is_ok()
        {
            pushed = mappings.push(mapping);
        }
    });
    pushed?;
    match is_whole {
        true => Ok(mappings),
        false => Err(std::io::Error::other("cannot read /proc/self/maps").into()),
    }
}

/// The start of a line of `/proc/self/maps`: what comes before a path, and the start of it.
struct Line {
    text: [u8; 96],
    len: usize,
}

impl Default for Line {
    fn default() -> Line {
        Line {
            text: [0; 96],
            len: 0,
        }
    }
}

impl Line {
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.text.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    /// `55d0c000-55d0d000 rw-p 00001000 08:01 1234   /srv/app`
    fn mapping(self) -> Option<Mapping> {
        let text = String::from_utf8_lossy(&self.text[..self.len]);
        let mut words = text.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let inode = words.nth(3)?;
        let name = words.next().unwrap_or_default();
        let address = |hex| usize::from_str_radix(hex, 16).ok();
        Some(Mapping {
            start: address(start)?,
            end: address(end)?,
            is_file: inode != "0",
            is_heap: name == "[heap]",
            resident: 0,
            with_blocks: 0,
        })
    }
}
