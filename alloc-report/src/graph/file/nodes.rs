//! [`Nodes`]: the blocks of the heap and the references between them.

use alloc_core_snapshot::Error;

use super::input::{Input, Stream};

/// No counts.
pub(in crate::graph) const NO_COUNT: u32 = u32::MAX;

/// The bits of a node's flags.
mod flag {
    pub(super) const COUNTS: u8 = 1;
    pub(super) const HASH: u8 = 2;
    pub(super) const AGE: u8 = 4;
    pub(super) const UNREAD: u8 = 8;
}

/// How many edges a group has that another one follows.
const WHOLE_GROUP: u64 = 512;

/// Blocks in order of address, and references in order of blocks and of words in them.
///
/// # Memory layout
///
/// Compressed sparse rows: the references out of block `v` are at `first[v]..first[v + 1]` in `to`,
/// `word` and `offset`. A file has at most 2^32 - 2 of either.
#[derive(Default)]
pub(in crate::graph) struct Nodes {
    pub(in crate::graph) starts: Vec<u64>,
    pub(in crate::graph) sizes: Vec<u64>,
    /// The index of each block's callsite.
    pub(in crate::graph) callsites: Vec<u32>,
    /// The first two words, where they may be the counts of an `Rc` or an `Arc`.
    pub(in crate::graph) strong: Vec<u32>,
    pub(in crate::graph) weak: Vec<u32>,
    /// Hashes of contents; empty if the file has none.
    pub(in crate::graph) hashes: Vec<Option<u64>>,
    /// Ages in microseconds; empty if the file has none.
    pub(in crate::graph) ages: Vec<Option<u64>>,
    /// Blocks of which a part could not be read, in ascending order.
    pub(in crate::graph) unread: Vec<u32>,
    pub(in crate::graph) first: Vec<u32>,
    pub(in crate::graph) to: Vec<u32>,
    /// The word of the block where the pointer is.
    pub(in crate::graph) word: Vec<u32>,
    /// The bytes from the target's start; `u32::MAX` for more.
    pub(in crate::graph) offset: Vec<u32>,
    /// Capacities and lengths next to pointers to a block.
    pub(in crate::graph) lengths: Vec<Length>,
}

/// Two words next to a pointer to a block, which may be a vector's capacity and length.
#[derive(Clone, Copy, Debug)]
pub(in crate::graph) struct Length {
    /// The place of the reference among the edges; `None` if it is a root.
    pub(in crate::graph) edge: Option<u32>,
    pub(in crate::graph) block: u32,
    pub(in crate::graph) capacity: u64,
    pub(in crate::graph) length: u64,
}

impl Nodes {
    pub(in crate::graph) fn len(&self) -> usize {
        self.starts.len()
    }

    /// The references out of a block.
    pub(in crate::graph) fn edges(&self, block: u32) -> std::ops::Range<usize> {
        let at = block as usize;
        self.first[at] as usize..self.first[at + 1] as usize
    }

    /// The block that contains an address.
    pub(in crate::graph) fn find(&self, address: u64) -> Option<u32> {
        let at = self.starts.partition_point(|start| *start <= address);
        let at = at.checked_sub(1)?;
        // A block of no bytes has an address all the same.
        let size = self.sizes[at].max(1);
        (address - self.starts[at] < size).then_some(at as u32)
    }
}

/// Reads the section of the nodes. `index` is the index of the callsite with an id.
pub(super) fn read(stream: &Stream<'_>, index: impl Fn(u64) -> u32) -> Result<Nodes, Error> {
    let mut nodes = Nodes::default();
    nodes.first.push(0);
    if !stream.is_there {
        return Ok(nodes);
    }
    let mut input = stream.input();
    // The start, the size, the callsite, the flags and the number of edges.
    let count = input.count("the number of blocks", 5)?;
    if count >= u32::MAX as usize {
        return Err(input.wrong(format!("{count} blocks, more than 2^32 - 2")));
    }
    nodes.starts.reserve_exact(count);
    nodes.sizes.reserve_exact(count);
    nodes.callsites.reserve_exact(count);
    nodes.strong.reserve_exact(count);
    nodes.weak.reserve_exact(count);
    nodes.first.reserve_exact(count);
    let (mut start, mut sum) = (0_u64, 0_u64);
    for at in 0..count {
        let step = input.number("the start of a block")?;
        let next = step.checked_mul(8).and_then(|it| start.checked_add(it));
        let is_in_order = at == 0 || step > 0;
        start = next
            .filter(|_| is_in_order)
            .ok_or_else(|| input.wrong("the start of a block that is not behind the last one"))?;
        let size = input.number("the size of a block")?;
        sum = sum.saturating_add(size);
        if sum >= 1 << 62 {
            return Err(input.wrong("blocks of more than 2^62 bytes"));
        }
        let callsite = input.number("the callsite of a block")?;
        nodes.starts.push(start);
        nodes.sizes.push(size);
        nodes.callsites.push(index(callsite));
        details(&mut input, &mut nodes, at)?;
        edges(&mut input, &mut nodes, at, count)?;
        nodes.first.push(nodes.to.len() as u32);
    }
    if !input.is_at_end() {
        return Err(input.wrong(format!("{} bytes after the last block", input.left())));
    }
    if !nodes.hashes.is_empty() {
        nodes.hashes.resize(count, None);
    }
    if !nodes.ages.is_empty() {
        nodes.ages.resize(count, None);
    }
    Ok(nodes)
}

/// Reads what the flags of a node announce.
fn details(input: &mut Input<'_>, nodes: &mut Nodes, at: usize) -> Result<(), Error> {
    let flags = input.byte("the flags of a block")?;
    let mut counts = [NO_COUNT; 2];
    if flags & flag::COUNTS != 0 {
        let found = [input.number("a count")?, input.number("a count")?];
        // NOTE: an `Arc` whose weak count is locked has the largest number.
        let fits = |it: u64| u32::try_from(it).ok().filter(|it| *it < NO_COUNT);
        if let [Some(strong), Some(weak)] = found.map(fits) {
            counts = [strong, weak];
        }
    }
    nodes.strong.push(counts[0]);
    nodes.weak.push(counts[1]);
    if flags & flag::HASH != 0 {
        nodes.hashes.resize(at, None);
        nodes.hashes.push(Some(input.eight_bytes("a hash")?));
    }
    if flags & flag::AGE != 0 {
        nodes.ages.resize(at, None);
        nodes.ages.push(Some(input.number("an age")?));
    }
    if flags & flag::UNREAD != 0 {
        nodes.unread.push(at as u32);
    }
    Ok(())
}

/// Reads the groups of a node's edges.
fn edges(input: &mut Input<'_>, nodes: &mut Nodes, at: usize, count: usize) -> Result<(), Error> {
    let mut word = 0_u32;
    loop {
        let in_group = input.number("a number of references")?;
        if in_group > WHOLE_GROUP {
            return Err(input.wrong(format!(
                "a group of {in_group} references, more than {WHOLE_GROUP}"
            )));
        }
        for _ in 0..in_group {
            let head = input.number("the word of a reference")?;
            let (has_offset, has_length) = (head & 1 != 0, head & 2 != 0);
            let next = u32::try_from(head >> 2).ok();
            word = next
                .and_then(|it| word.checked_add(it))
                .ok_or_else(|| input.wrong("a reference beyond the word 2^32 of a block"))?;
            let target = (at as i64).checked_add(input.signed("the target of a reference")?);
            let target = target
                .and_then(|it| usize::try_from(it).ok())
                .filter(|it| *it < count);
            let Some(target) = target else {
                return Err(input.wrong(format!("a reference to none of the {count} blocks")));
            };
            let offset = match has_offset {
                true => input.number("an offset")?.min(u32::MAX.into()) as u32,
                false => 0,
            };
            if has_length {
                let (capacity, length) = (input.number("a capacity")?, input.number("a length")?);
                nodes.lengths.push(Length {
                    edge: Some(nodes.to.len() as u32),
                    block: target as u32,
                    capacity,
                    length,
                });
            }
            nodes.to.push(target as u32);
            nodes.word.push(word);
            nodes.offset.push(offset);
        }
        if nodes.to.len() >= u32::MAX as usize {
            return Err(input.wrong("more than 2^32 - 2 references"));
        }
        if in_group < WHOLE_GROUP {
            return Ok(());
        }
    }
}
