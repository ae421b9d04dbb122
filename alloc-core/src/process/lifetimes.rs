//! [`Buckets`]: the lifetimes of one callsite, as numbers of blocks in each bucket.

use crate::record::session::TABLES;
use crate::snapshot::lifetimes::{Ages, Lifetimes};
use crate::tables::blocks::CompanionWord;
use crate::tables::callsites::CallsiteId;
use crate::tables::lifetimes::{Age, Histogram, unit_picoseconds};

/// How long the blocks of a callsite lived that were freed, and how old those are that live.
#[derive(Debug)]
pub(crate) struct Buckets {
    /// Length of a unit of time, in picoseconds.
    pub(crate) unit: u64,
    pub(crate) freed: Numbers,
    pub(crate) live: Numbers,
}

/// Numbers of blocks by time and by bytes.
#[derive(Debug)]
pub(crate) struct Numbers {
    pub(crate) times: [u64; Age::TIMES],
    pub(crate) bytes: [u64; Age::BYTES],
}

impl Buckets {
    /// Computes the age of each live block, and collects what threads hold back.
    ///
    /// NOTE: only under the readers' lock, for the tables that it fills.
    pub(crate) fn read() -> Buckets {
        TABLES.held_back.reset();
        for state in TABLES.threads.iter() {
            state.for_each_death(|callsite, age, blocks| {
                TABLES.held_back.add(callsite, age, blocks)
            });
        }
        TABLES.ages.reset();
        let now = TABLES
            .clock
            .now(TABLES.threads.iter().map(|it| it.uncounted_bytes()).sum());
        TABLES.blocks.for_each_place(|_, block, place| {
            if let Some(birth) = place.companion().and_then(CompanionWord::read) {
                let age = TABLES.clock.age(birth, now);
                TABLES.ages.add(block.callsite(), age, 1);
            }
        });
        Buckets {
            unit: unit_picoseconds(),
            freed: Numbers::ZERO,
            live: Numbers::ZERO,
        }
    }

    /// The numbers of a callsite.
    pub(crate) fn of(&mut self, callsite: CallsiteId) -> &Buckets {
        self.freed = Numbers::ZERO;
        self.live = Numbers::ZERO;
        for table in [&TABLES.lifetimes, &TABLES.held_back] {
            self.freed.add(table.get(callsite));
        }
        self.live.add(TABLES.ages.get(callsite));
        self
    }

    pub(crate) fn lifetimes(&self) -> Lifetimes {
        let ages = |it: &Numbers| Ages::from_buckets(self.unit, &it.times, &it.bytes);
        Lifetimes::new(ages(&self.freed), ages(&self.live))
    }
}

impl Numbers {
    const ZERO: Numbers = Numbers {
        times: [0; Age::TIMES],
        bytes: [0; Age::BYTES],
    };

    fn add(&mut self, histogram: Option<&Histogram>) {
        if let Some(histogram) = histogram {
            let times = self.times.iter_mut().zip(histogram.times());
            times.for_each(|(sum, blocks)| *sum += blocks);
            let bytes = self.bytes.iter_mut().zip(histogram.bytes());
            bytes.for_each(|(sum, blocks)| *sum += blocks);
        }
    }
}
