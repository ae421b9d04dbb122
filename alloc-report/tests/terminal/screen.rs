//! [`Screen`]: a pseudo-terminal with a program on it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

/// How long anything may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A pseudo-terminal, the program on it, and what it shows.
pub(crate) struct Screen {
    child: Child,
    terminal: File,
    /// The program's side, which keeps the terminal alive.
    program: OwnedFd,
    output: Receiver<Vec<u8>>,
    shown: vt100::Parser,
}

impl Screen {
    /// Starts a program on a terminal with so many columns and rows.
    pub(crate) fn start(mut command: Command, columns: u16, rows: u16) -> Screen {
        Screen::with(&mut command, columns, rows, None)
    }

    /// Starts a program whose standard input is not the terminal.
    pub(crate) fn with(
        command: &mut Command,
        columns: u16,
        rows: u16,
        input: Option<Stdio>,
    ) -> Screen {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let terminal = openpt(flags).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        tcsetwinsize(&terminal, size(columns, rows)).unwrap();
        let program = ioctl_tiocgptpeer(&terminal, flags).unwrap();
        let side = || Stdio::from(program.try_clone().unwrap());
        command
            .env("TERM", "xterm-256color")
            .stdin(input.unwrap_or_else(side))
            .stdout(side())
            .stderr(side());
        let of_program = program.try_clone().unwrap();
        // SAFETY: between fork and exec, only system calls are made; the descriptor is open.
        unsafe {
            command.pre_exec(move || {
                rustix::process::setsid()?;
                rustix::process::ioctl_tiocsctty(&of_program)?;
                Ok(())
            })
        };
        let child = command.spawn().unwrap();
        let terminal = File::from(terminal);
        let (send, output) = mpsc::channel();
        let mut reader = terminal.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = reader.read(&mut bytes) {
                if send.send(bytes[..n].to_vec()).is_err() {
                    break;
                }
            }
        });
        Screen {
            child,
            terminal,
            program,
            output,
            shown: vt100::Parser::new(lines(rows), lines(columns), 0),
        }
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).unwrap();
    }

    pub(crate) fn resize(&mut self, columns: u16, rows: u16) {
        self.shown
            .screen_mut()
            .set_size(lines(rows), lines(columns));
        tcsetwinsize(&self.terminal, size(columns, rows)).unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let process = Pid::from_child(&self.child);
        kill_process(process, signal).unwrap();
    }

    pub(crate) fn shown(&self) -> &vt100::Screen {
        self.shown.screen()
    }

    /// The lines that are visible, without space at their ends.
    pub(crate) fn text(&self) -> String {
        self.shown.screen().contents()
    }

    /// Waits until the screen is as expected. Returns its text.
    #[track_caller]
    pub(crate) fn wait(&mut self, what: &str, is_it: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let text = self.text();
            if is_it(&text) {
                return text;
            }
            assert!(start.elapsed() < TIMEOUT, "expected {what}, found\n{text}");
            if let Ok(bytes) = self.output.recv_timeout(Duration::from_millis(20)) {
                self.shown.process(&bytes);
            }
        }
    }

    /// Waits until the screen has a text. Returns the whole.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        self.wait(text, |it| it.contains(text))
    }

    /// The signs that the program has the terminal for itself: another screen, no cursor, no echo, and
    /// keys instead of lines.
    fn signs(&mut self) -> [bool; 4] {
        while let Ok(bytes) = self.output.try_recv() {
            self.shown.process(&bytes);
        }
        let modes = tcgetattr(&self.program).unwrap().local_modes;
        let screen = self.shown.screen();
        [
            screen.alternate_screen(),
            screen.hide_cursor(),
            !modes.contains(LocalModes::ECHO),
            !modes.contains(LocalModes::ICANON),
        ]
    }

    /// Waits until the program has the terminal for itself, or until it is as it was before.
    #[track_caller]
    pub(crate) fn wait_until_taken(&mut self, expected: bool) {
        let start = Instant::now();
        while self.signs() != [expected; 4] {
            let signs = self.signs();
            assert!(start.elapsed() < TIMEOUT, "{expected}: {signs:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for the end of the program. Returns its status, or 128 and the signal that ended it.
    #[track_caller]
    pub(crate) fn end(&mut self) -> i32 {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                // What it wrote at last.
                std::thread::sleep(Duration::from_millis(50));
                let killed = status.signal().map(|it| 128 + it);
                return status.code().or(killed).unwrap();
            }
            assert!(start.elapsed() < TIMEOUT, "{}", self.text());
            if let Ok(bytes) = self.output.recv_timeout(Duration::from_millis(20)) {
                self.shown.process(&bytes);
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(number: u16) -> NonZero<u16> {
    NonZero::new(number).unwrap()
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}
