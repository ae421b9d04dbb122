//! Steps that start and stop tracing, that reset it, and that enter and leave scopes.

use alloc_core::{Config, Scope, ScopeHandle, take_snapshot, traced_memory, untraced};

use crate::checks::check;
use crate::model::ScopeModel;
use crate::{Alive, MOST_BLOCKS, MOST_SCOPES, Mode, Run, SITES};

impl Run {
    pub(crate) fn start_or_stop(&mut self) {
        if self.mode != Mode::Off {
            alloc_core::stop();
            check("after a stop", traced_memory(), Default::default());
            self.tracked.clear();
            self.mode = Mode::Off;
            if self.random.one_in(3) {
                return;
            }
        }
        let frames = [32, 8, 1, 0][self.random.below(4)];
        let config = Config::default()
            .frames(frames)
            .threads(self.random.one_in(4))
            .exact_peak(self.random.one_in(4));
        let (mode, config) = match self.random.below(5) {
            0 => (
                Mode::Sampled,
                config.sample_every(64_u64 << self.random.below(10)),
            ),
            _ if frames == 0 => (Mode::Counted, config),
            _ => (Mode::Whole, config),
        };
        alloc_core::start_with(config).expect("it starts");
        self.mode = mode;
        self.forget();
    }

    pub(crate) fn clear(&mut self) {
        alloc_core::clear_traces();
        self.tracked.clear();
        self.forget();
    }

    pub(crate) fn forget(&mut self) {
        self.session += 1;
        self.sites = Default::default();
        (self.current, self.peak, self.rising) = (0, 0, true);
        self.is_alone = true;
    }

    pub(crate) fn reset_peak(&mut self) {
        alloc_core::reset_peak();
        self.sites.iter_mut().for_each(|it| it.peak = it.current);
        (self.peak, self.rising) = (self.current, true);
    }

    pub(crate) fn enter_scope(&mut self) {
        if self.alive.len() == MOST_SCOPES || self.scopes.len() == self.scopes.capacity() {
            return;
        }
        let scope = match self.random.below(3) {
            0 => Alive::Guard(Scope::enter_with_stacks().expect("a scope")),
            1 => Alive::Guard(Scope::enter().expect("a scope")),
            _ => Alive::Handle(ScopeHandle::new().expect("a scope")),
        };
        let number = self.scopes.len();
        let parent = self.innermost();
        self.scopes.push(ScopeModel {
            parent,
            ..ScopeModel::default()
        });
        self.alive.push((number, scope));
    }

    pub(crate) fn leave_scope(&mut self) {
        if let Some((number, alive)) = self.alive.pop() {
            if !self.is_child {
                self.scopes[number].check(alive.usage());
            }
            if let Alive::Guard(scope) = &alive
                && self.random.one_in(3)
                && !self.is_child
            {
                let snapshot = || scope.snapshot().expect("a scope of this process");
                let current = untraced(|| snapshot().traced_memory().current);
                check("a scope's snapshot", current, self.scopes[number].net.bytes);
            }
            drop(alive);
        }
    }

    pub(crate) fn in_a_handle(&mut self) {
        let handles = self.alive.iter();
        let handle = handles.rev().find_map(|(number, it)| match it {
            Alive::Handle(handle) => Some((*number, handle.clone())),
            Alive::Guard(_) => None,
        });
        if let Some((number, handle)) = handle
            && self.live.len() < MOST_BLOCKS
        {
            let (size, site) = (self.size(), self.random.below(SITES));
            handle.run(|| self.make_in(Some(number), size, site, false, false));
        }
    }

    /// Takes a snapshot, which changes nothing.
    pub(crate) fn read(&mut self) {
        if self.mode != Mode::Off {
            // NOTE: untraced, because the blocks of a snapshot are unknown to the model.
            untraced(|| self.check_sites(&take_snapshot().expect("tracing is on")));
        }
    }
}
