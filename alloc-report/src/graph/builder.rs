//! [`Builder`]: writes small files, for tests and examples.

use alloc_core_snapshot::{Amount, Counters, Frame, Snapshot, Trace, Traceback};

use super::file::{MAGIC, rounded};
pub use super::sample::sample;

/// The address of the first block.
const HEAP: u64 = 0x1000_0000;

/// A file of a heap graph, made by hand.
///
/// Blocks are 16 bytes apart, in the order of the calls. The program is module 0.
pub struct Builder {
    pub facts: Vec<(u64, u64)>,
    pub modules: Vec<(u64, String, u64, u64)>,
    threads: Vec<Vec<u8>>,
    traces: Vec<Trace>,
    blocks: Vec<Block>,
    roots: Vec<Root>,
    pub named: Vec<String>,
    /// References, modules, addresses and sizes of vtables.
    pub vtables: Vec<[u64; 4]>,
    next: u64,
}

#[derive(Default)]
struct Block {
    start: u64,
    size: u64,
    callsite: u64,
    counts: Option<(u64, u64)>,
    hash: Option<u64>,
    age: Option<u64>,
    edges: Vec<Edge>,
}

struct Edge {
    word: u64,
    to: u32,
    offset: u64,
    length: Option<(u64, u64)>,
}

struct Root {
    kind: u8,
    extra: u64,
    place: u64,
    to: u32,
    offset: u64,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder {
            facts: vec![(1, 4711), (3, 16), (4, 1)],
            modules: vec![(0x40_0000, String::new(), 0x100, 0x80)],
            threads: Vec::new(),
            traces: Vec::new(),
            blocks: Vec::new(),
            roots: Vec::new(),
            named: Vec::new(),
            vtables: Vec::new(),
            next: HEAP,
        }
    }
}

impl Builder {
    /// Adds a callsite: the type of its blocks (empty: unknown), a function, a file and a line.
    pub fn callsite(&mut self, type_name: &str, function: &str, file: &str, line: u32) -> u64 {
        let frame = Frame::new(Some(function), Some(file), line, 9);
        let trace = Trace::new(Traceback::new(vec![frame]), Counters::default());
        self.traces.push(match type_name {
            "" => trace,
            name => trace.with_type(name),
        });
        self.traces.len() as u64
    }

    /// Sets the label of the last callsite.
    pub fn label(&mut self, path: &str) {
        if let Some(trace) = self.traces.pop() {
            self.traces.push(trace.with_label(path));
        }
    }

    /// Adds a block of a callsite.
    pub fn block(&mut self, callsite: u64, size: u64) -> u32 {
        self.blocks.push(Block {
            start: self.next,
            size,
            callsite,
            ..Block::default()
        });
        self.next += size.next_multiple_of(16) + 16;
        self.blocks.len() as u32 - 1
    }

    /// The address of a block.
    pub fn address(&self, block: u32) -> u64 {
        self.blocks[block as usize].start
    }

    /// Sets the first two words of a block, where they may be counts.
    pub fn counts(&mut self, block: u32, strong: u64, weak: u64) {
        self.blocks[block as usize].counts = Some((strong, weak));
    }

    /// Sets the hash of a block's contents.
    pub fn hash(&mut self, block: u32, hash: u64) {
        self.blocks[block as usize].hash = Some(hash);
    }

    /// Sets the age of a block in microseconds.
    pub fn age(&mut self, block: u32, age: u64) {
        self.blocks[block as usize].age = Some(age);
    }

    /// Adds a pointer in a word of a block, to the start of another.
    pub fn edge(&mut self, from: u32, word: u64, to: u32) {
        self.edge_into(from, word, to, 0);
    }

    /// Adds a pointer to a byte of another block.
    pub fn edge_into(&mut self, from: u32, word: u64, to: u32, offset: u64) {
        self.blocks[from as usize].edges.push(Edge {
            word,
            to,
            offset,
            length: None,
        });
    }

    /// Adds a pointer with a capacity and a length next to it.
    pub fn vector(&mut self, from: u32, word: u64, to: u32, capacity: u64, length: u64) {
        self.blocks[from as usize].edges.push(Edge {
            word,
            to,
            offset: 0,
            length: Some((capacity, length)),
        });
    }

    /// Adds a thread with a stack of 64 KiB: its functions, innermost first, each with its code and
    /// the size of its part of the stack.
    pub fn thread(&mut self, name: &str, frames: &[(u64, u64)]) -> u64 {
        let number = self.threads.len() as u64;
        let mut thread = Vec::new();
        let low = self.stack(number);
        put(&mut thread, 100 + number);
        text(&mut thread, name);
        for number in [0, low, 0x1_0000, low, 0x6000_0000 + number * 0x1000] {
            put(&mut thread, number);
        }
        put(&mut thread, frames.len() as u64);
        for (code, size) in frames {
            put(&mut thread, *code);
            put(&mut thread, *size);
        }
        self.threads.push(thread);
        number
    }

    /// The lowest address of a thread's stack, where its stack pointer is.
    pub fn stack(&self, thread: u64) -> u64 {
        0x7000_0000 + thread * 0x10_0000
    }

    /// Adds a root: its kind as in the file, the module or thread, the address of the pointer.
    pub fn root(&mut self, kind: u8, extra: u64, place: u64, to: u32) {
        self.root_into(kind, extra, place, to, 0);
    }

    /// Adds a root that points to a byte of a block.
    pub fn root_into(&mut self, kind: u8, extra: u64, place: u64, to: u32, offset: u64) {
        self.roots.push(Root {
            kind,
            extra,
            place,
            to,
            offset,
        });
    }

    /// Adds a static of the program, at this offset in its file.
    pub fn in_static(&mut self, offset: u64, to: u32) {
        self.root(1, 0, 0x40_0000 + offset, to);
    }

    /// The snapshot within the file.
    fn snapshot(&self) -> Vec<u8> {
        let amounts = self.amounts();
        let traces = self.traces.iter().zip(&amounts).map(|(trace, amount)| {
            let mut trace = trace.clone();
            trace.counters.current = *amount;
            trace.counters.total = *amount;
            trace
        });
        let mut file = Vec::new();
        let snapshot = Snapshot::from_traces(traces.collect(), 32);
        snapshot.write_to(&mut file).expect("a vector takes bytes");
        file
    }

    /// What each callsite has.
    fn amounts(&self) -> Vec<Amount> {
        let mut amounts = vec![Amount::default(); self.traces.len()];
        for block in &self.blocks {
            if let Some(amount) = amounts.get_mut((block.callsite as usize).wrapping_sub(1)) {
                amount.bytes += alloc_core_snapshot::Bytes::new(block.size);
                amount.blocks += 1;
            }
        }
        amounts
    }

    /// The frames of the file: tags and payloads.
    pub fn sections(&self) -> Vec<(u8, Vec<u8>)> {
        let mut facts = Vec::new();
        for (key, value) in &self.facts {
            put(&mut facts, *key);
            put(&mut facts, *value);
        }
        let mut modules = Vec::new();
        put(&mut modules, self.modules.len() as u64);
        for (bias, path, tls_offset, tls_size) in &self.modules {
            put(&mut modules, *bias);
            text(&mut modules, path);
            put(&mut modules, 0);
            put(&mut modules, *tls_offset);
            put(&mut modules, *tls_size);
        }
        let mut threads = Vec::new();
        put(&mut threads, self.threads.len() as u64);
        threads.extend(self.threads.concat());
        let (mut callsites, mut ids) = (Vec::new(), Vec::new());
        for (id, amount) in (1_u64..).zip(self.amounts()) {
            put(&mut ids, id);
            for number in [id, amount.blocks, amount.bytes.get()] {
                put(&mut callsites, number);
            }
        }
        let mut named = Vec::new();
        put(&mut named, self.named.len() as u64);
        self.named.iter().for_each(|it| text(&mut named, it));
        let (mut vtables, mut last) = (Vec::new(), 0);
        for [edge, module, address, size] in &self.vtables {
            for number in [edge - last, *module, *address, *size] {
                put(&mut vtables, number);
            }
            last = *edge;
        }
        let edges: usize = self.blocks.iter().map(|it| it.edges.len()).sum();
        let mut end = Vec::new();
        for count in [self.blocks.len(), edges, self.roots.len()] {
            put(&mut end, count as u64);
        }
        vec![
            (b'I', facts),
            (b'M', modules),
            (b'T', threads),
            (b'C', callsites),
            (b'N', self.nodes()),
            (b'R', self.root_section()),
            (b'S', self.snapshot()),
            (b'K', ids),
            (b'P', named),
            (b'V', vtables),
            (b'E', end),
        ]
    }

    fn nodes(&self) -> Vec<u8> {
        let is_exact = self.facts.contains(&(4, 1));
        let mut out = Vec::new();
        put(&mut out, self.blocks.len() as u64);
        let mut last = 0;
        for (at, block) in self.blocks.iter().enumerate() {
            put(&mut out, (block.start - last) / 8);
            last = block.start;
            put(
                &mut out,
                match is_exact {
                    true => block.size,
                    false => rounded(block.size),
                },
            );
            put(&mut out, block.callsite);
            let flags = u8::from(block.counts.is_some())
                | u8::from(block.hash.is_some()) << 1
                | u8::from(block.age.is_some()) << 2;
            out.push(flags);
            if let Some((strong, weak)) = block.counts {
                put(&mut out, strong);
                put(&mut out, weak);
            }
            if let Some(hash) = block.hash {
                out.extend(hash.to_le_bytes());
            }
            if let Some(age) = block.age {
                put(&mut out, age);
            }
            let mut edges: Vec<&Edge> = block.edges.iter().collect();
            edges.sort_by_key(|it| it.word);
            let mut word = 0;
            let mut groups = edges.chunks(512).peekable();
            while let Some(group) = groups.next() {
                put(&mut out, group.len() as u64);
                for edge in group {
                    let bits = u64::from(edge.length.is_some()) << 1 | u64::from(edge.offset != 0);
                    put(&mut out, (edge.word - word) << 2 | bits);
                    word = edge.word;
                    put_signed(&mut out, i64::from(edge.to) - at as i64);
                    if edge.offset != 0 {
                        put(&mut out, edge.offset);
                    }
                    if let Some((capacity, length)) = edge.length {
                        put(&mut out, capacity);
                        put(&mut out, length);
                    }
                }
                if group.len() == 512 && groups.peek().is_none() {
                    put(&mut out, 0);
                }
            }
            if edges.is_empty() {
                put(&mut out, 0);
            }
        }
        out
    }

    fn root_section(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut last = 0;
        for root in &self.roots {
            out.push(root.kind);
            put(&mut out, root.extra);
            put_signed(&mut out, (root.place as i64 - last) / 8);
            last = root.place as i64;
            put(&mut out, root.to.into());
            put(&mut out, root.offset << 1);
        }
        out
    }

    /// The whole file.
    pub fn file(&self) -> Vec<u8> {
        let mut file = MAGIC.to_vec();
        for (tag, payload) in self.sections() {
            // Small frames, so that numbers cross their ends.
            let mut frames = payload.chunks(1000).peekable();
            if frames.peek().is_none() {
                frame(&mut file, tag, &[]);
            }
            frames.for_each(|it| frame(&mut file, tag, it));
        }
        file
    }
}

/// Appends a frame of a file.
pub fn frame(file: &mut Vec<u8>, tag: u8, payload: &[u8]) {
    file.push(tag);
    file.extend((payload.len() as u32).to_le_bytes());
    file.extend(payload);
}

/// Appends a varint.
pub fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_signed(out: &mut Vec<u8>, number: i64) {
    put(out, (number << 1 ^ number >> 63) as u64);
}

fn text(out: &mut Vec<u8>, text: &str) {
    put(out, text.len() as u64);
    out.extend(text.as_bytes());
}
