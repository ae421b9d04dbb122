//! The terminal: drawing, keys, signals, and its state before and after.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use super::draw::{self, Theme};
use super::keys::Action;
use super::state::{Live, State};
use super::worker::Worker;

/// How long a key, a snapshot or a signal may wait.
const TICK: Duration = Duration::from_millis(50);

/// Shows the state until the user quits.
pub(super) fn run(state: &mut State, mut worker: Option<Worker>) -> io::Result<()> {
    if !io::stdout().is_terminal() {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "expected a terminal as standard output, found something else",
        ));
    }
    let signals = Signals::catch()?;
    // NOTE: this also restores the terminal in front of the message of a panic.
    let mut terminal = ratatui::try_init()?;
    let ended = show(state, &mut worker, &mut terminal, &signals);
    restore(&mut terminal)?;
    worker.into_iter().for_each(Worker::end);
    match ended? {
        Ended::Quit => Ok(()),
        Ended::Signal(signal) => end_by(signal),
    }
}

enum Ended {
    Quit,
    Signal(usize),
}

fn show(
    state: &mut State,
    worker: &mut Option<Worker>,
    terminal: &mut DefaultTerminal,
    signals: &Signals,
) -> io::Result<Ended> {
    let theme = Theme::of_environment();
    let mut is_changed = true;
    let mut drawn = terminal.size()?;
    loop {
        // NOTE: a change of the size before the first poll raises no event.
        let size = terminal.size()?;
        if is_changed || size != drawn {
            terminal.draw(|frame| draw::draw(state, frame, theme))?;
            drawn = size;
        }
        is_changed = false;
        if let Some(signal) = signals.caught() {
            return Ok(Ended::Signal(signal));
        }
        if let Some(found) = worker.as_mut().and_then(Worker::newest) {
            state.refresh(found);
            is_changed = true;
        }
        match event::poll(TICK) {
            Ok(false) => continue,
            Ok(true) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        is_changed = true;
        let Event::Key(key) = event::read()? else {
            continue;
        };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        let was_paused = state.live == Live::Paused;
        match state.press(key) {
            Action::None => {}
            Action::Quit => return Ok(Ended::Quit),
            Action::Suspend => suspend(terminal)?,
            Action::Refresh => worker.iter().for_each(Worker::refresh),
        }
        let is_paused = state.live == Live::Paused;
        if was_paused != is_paused {
            worker.iter().for_each(|it| it.pause(is_paused));
        }
    }
}

/// Restores the terminal and its cursor, which is hidden while the screen is drawn.
fn restore(terminal: &mut DefaultTerminal) -> io::Result<()> {
    let shown = terminal.show_cursor();
    ratatui::try_restore()?;
    shown
}

#[cfg(unix)]
fn suspend(terminal: &mut DefaultTerminal) -> io::Result<()> {
    restore(terminal)?;
    signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGTSTP)?;
    *terminal = ratatui::try_init()?;
    Ok(())
}

#[cfg(not(unix))]
fn suspend(_: &mut DefaultTerminal) -> io::Result<()> {
    Ok(())
}

/// The signals that end the process: the terminal is restored first.
struct Signals {
    caught: Arc<AtomicUsize>,
    /// Whether the screen has ended.
    is_over: Arc<AtomicBool>,
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// How long the screen may take to end after a signal.
const GRACE: Duration = Duration::from_secs(1);

impl Signals {
    fn catch() -> io::Result<Signals> {
        let caught = Arc::new(AtomicUsize::new(0));
        #[cfg(unix)]
        {
            use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
            for signal in [SIGHUP, SIGINT, SIGTERM] {
                let number = signal as usize;
                signal_hook::flag::register_usize(signal, Arc::clone(&caught), number)?;
            }
        }
        let signals = Signals {
            caught,
            is_over: Arc::default(),
        };
        signals.enforce();
        Ok(signals)
    }

    /// Ends the process if the screen does not, some time after a signal.
    ///
    /// When a terminal is hung up, crossterm reads its end again and again, and `poll` does not return.
    fn enforce(&self) {
        let (caught, is_over) = (Arc::clone(&self.caught), Arc::clone(&self.is_over));
        std::thread::spawn(move || {
            let mut left = GRACE;
            while !is_over.load(Ordering::Relaxed) {
                std::thread::sleep(TICK);
                if is_hung_up() {
                    // Without a controlling terminal, no signal says so.
                    _ = caught.compare_exchange(0, HANGUP, Ordering::Relaxed, Ordering::Relaxed);
                }
                match caught.load(Ordering::Relaxed) {
                    0 => {}
                    _ if left > TICK => left -= TICK,
                    signal => _ = end_by(signal),
                }
            }
        });
    }

    fn caught(&self) -> Option<usize> {
        // Relaxed: the number is all that the handler writes.
        Some(self.caught.load(Ordering::Relaxed)).filter(|it| *it != 0)
    }
}

/// The signal of a terminal that is gone.
const HANGUP: usize = 1;

/// Whether the terminal is gone.
fn is_hung_up() -> bool {
    #[cfg(unix)]
    {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let output = io::stdout();
        let mut output = [PollFd::new(&output, PollFlags::empty())];
        let found = poll(&mut output, Some(&Timespec::default()));
        found.is_ok_and(|n| n > 0) && output[0].revents().contains(PollFlags::HUP)
    }
    #[cfg(not(unix))]
    false
}

/// Ends the process as the signal does when it is not caught.
fn end_by(signal: usize) -> io::Result<()> {
    #[cfg(unix)]
    signal_hook::low_level::emulate_default_handler(signal as i32)?;
    let _ = signal;
    Ok(())
}
