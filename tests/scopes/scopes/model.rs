//! Random work in nested scopes, compared with a model.

use std::alloc::{GlobalAlloc, Layout};

use alloc_core::{Amount, Scope, Usage};
use alloc_tests::Random;

use crate::{ALLOC, untraced_room};

/// What a scope should have counted, by definition.
#[derive(Clone, Default)]
struct Model {
    allocated: Amount,
    live: Amount,
    peak: Amount,
    before: Amount,
    reallocations: u64,
}

impl Model {
    fn born(&mut self, size: u64) {
        self.allocated += Amount::new(size, 1);
        self.live += Amount::new(size, 1);
        self.raise();
    }

    fn raise(&mut self) {
        self.peak.bytes = self.peak.bytes.max(self.live.bytes);
        self.peak.blocks = self.peak.blocks.max(self.live.blocks);
    }

    fn died(&mut self, size: u64) {
        self.live = Amount::new(self.live.bytes.get() - size, self.live.blocks - 1);
    }

    fn check(&self, usage: Usage) {
        assert_eq!(usage.allocated, self.allocated);
        assert_eq!(usage.current, self.live);
        assert_eq!(usage.peak, self.peak);
        assert_eq!(usage.freed_before, self.before);
        assert_eq!(usage.reallocations, self.reallocations);
    }
}

pub(crate) fn random_work_equals_a_model() {
    struct Block {
        address: *mut u8,
        size: usize,
        /// The number of scopes around its allocation.
        depth: usize,
    }
    let mut random = Random::new(1);
    let mut below = |end| random.below(end);
    let layout = |size| Layout::from_size_align(size, 8).unwrap();
    let mut blocks: Vec<Block> = untraced_room(100_000);
    let mut scopes: Vec<Scope> = untraced_room(16);
    let mut models: Vec<Model> = untraced_room(16);
    let mut checked = 0;
    for _ in 0..100_000 {
        match below(20) {
            0 if scopes.len() < 6 => {
                scopes.push(Scope::enter().unwrap());
                models.push(Model::default());
            }
            1 if !scopes.is_empty() && below(4) == 0 => {
                models
                    .pop()
                    .unwrap()
                    .check(scopes.last().unwrap().usage().unwrap());
                drop(scopes.pop());
                // The blocks of the scope belong to the outer scope from here on.
                let depth = scopes.len();
                blocks
                    .iter_mut()
                    .for_each(|it| it.depth = it.depth.min(depth));
                checked += 1;
            }
            2..10 => {
                let size = 1 + below(500);
                // SAFETY: the layout is not empty.
                let address = unsafe { ALLOC.alloc(layout(size)) };
                let depth = scopes.len();
                models.iter_mut().for_each(|it| it.born(size as u64));
                blocks.push(Block {
                    address,
                    size,
                    depth,
                });
            }
            10..13 if !blocks.is_empty() => {
                let at = below(blocks.len());
                let (old, size) = (&mut blocks[at], 1 + below(900));
                // SAFETY: the block is live and has that layout, and the new size is not zero.
                let address = unsafe { ALLOC.realloc(old.address, layout(old.size), size) };
                for (depth, model) in models.iter_mut().enumerate() {
                    model.reallocations += 1;
                    if depth < old.depth {
                        model.died(old.size as u64);
                    } else {
                        model.before += Amount::new(old.size as u64, 1);
                    }
                    model.born(size as u64);
                }
                *old = Block {
                    address,
                    size,
                    depth: scopes.len(),
                };
            }
            _ if !blocks.is_empty() => {
                let at = below(blocks.len());
                let block = blocks.swap_remove(at);
                // SAFETY: the block is live and has that layout.
                unsafe { ALLOC.dealloc(block.address, layout(block.size)) };
                for (depth, model) in models.iter_mut().enumerate() {
                    if depth < block.depth {
                        model.died(block.size as u64);
                    } else {
                        model.before += Amount::new(block.size as u64, 1);
                    }
                }
            }
            _ => {}
        }
    }
    assert!(checked > 500, "{checked}");
    while let Some(scope) = scopes.pop() {
        models.pop().unwrap().check(scope.usage().unwrap());
    }
    for block in blocks {
        // SAFETY: the block is live and has that layout.
        unsafe { ALLOC.dealloc(block.address, layout(block.size)) };
    }
}
