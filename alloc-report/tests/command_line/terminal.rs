//! Standard output: pipes, full disks, terminals, colour and width.

use std::fs;
use std::process::Stdio;

use crate::set_up::folder;
use crate::support::{command, text};

#[test]
fn a_closed_pipe_is_no_error() {
    let folder = folder();
    for arguments in ["top new", "diff old new --format json"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command(folder.path(), arguments)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(text(&output.stderr), "");
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error() {
    let folder = folder();
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = command(folder.path(), "top new")
        .stdout(full)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(
        text(&output.stderr),
        "error: cannot write to standard output: No space left on device (os error 28)\n"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_pipe_is_colourful_only_with_clicolor_force() {
    let folder = folder();
    let has_colour = |variables: &[(&str, &str)]| {
        let variables = variables.iter().copied();
        let output = command(folder.path(), "diff old new")
            .envs(variables)
            .output()
            .unwrap();
        output.stdout.contains(&b'\x1b')
    };
    assert!(!has_colour(&[]));
    assert!(has_colour(&[("CLICOLOR_FORCE", "1")]));
    assert!(!has_colour(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
}

#[cfg(target_os = "linux")]
mod on_a_terminal {
    use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
    use rustix::termios::{Winsize, tcsetwinsize};

    use std::io::Read as _;

    use alloc_core::Snapshot;
    use expect_test::expect;

    use super::*;
    use crate::set_up::trace;

    /// The output of the command on a terminal of this width.
    #[track_caller]
    fn run(columns: u16, arguments: &str, variables: &[(&str, &str)]) -> String {
        let (shown, has_succeeded) = run_any(columns, arguments, variables);
        assert!(has_succeeded);
        shown
    }

    /// The output of the command, and whether it succeeds.
    fn run_any(columns: u16, arguments: &str, variables: &[(&str, &str)]) -> (String, bool) {
        let folder = folder();
        let file = "/c/registry/src/i-1/tree-sitter-0.25.10/binding_rust/parser/lib.rs";
        let function = "<tree_sitter::Tree as core::clone::Clone>::clone::from_raw_parts";
        let wide = trace(function, file, 1_234, (10, 1), (10, 1));
        Snapshot::from_traces(vec![wide], 32)
            .dump(folder.path().join("wide"))
            .unwrap();

        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let terminal = openpt(flags).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let size = Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&terminal, size).unwrap();
        let stdout = ioctl_tiocgptpeer(&terminal, flags).unwrap();

        let mut command = command(folder.path(), arguments);
        command
            .env("TERM", "xterm-256color")
            .envs(variables.iter().copied())
            .stdout(stdout);
        let mut child = command.spawn().unwrap();
        drop(command);
        let mut shown = Vec::new();
        // NOTE: a closed terminal returns an error (EIO), not an end of file.
        let _ = fs::File::from(terminal).read_to_end(&mut shown);
        let has_succeeded = child.wait().unwrap().success();
        let shown = String::from_utf8(shown).unwrap().replace("\r\n", "\n");
        (shown, has_succeeded)
    }

    #[test]
    fn a_terminal_gets_no_binary_file() {
        assert_eq!(
            run_any(80, "export new --to pprof", &[]),
            (String::new(), false)
        );
        assert!(run(80, "export new --to folded", &[]).contains(";demo::fill (src/cache.rs:41);"));
    }

    #[test]
    fn a_terminal_is_colourful_unless_no_color_is_set() {
        let text = run(100, "diff old new", &[]);
        assert!(text.contains("\u{1b}[31m+11.9 MiB\u{1b}[0m"), "{text:?}");
        assert!(text.contains("\u{1b}[32m"), "{text:?}");
        assert!(!run(100, "diff old new", &[("NO_COLOR", "1")]).contains('\u{1b}'));
        assert!(!run(100, "diff old new", &[("TERM", "dumb")]).contains('\u{1b}'));
    }

    #[test]
    fn the_table_fits_the_width() {
        let text = run(60, "top wide --by traceback", &[("NO_COLOR", "1")]);
        expect![[r#"
            10 B in 1 live block, by traceback; at the peak 10 B

            #  size   share  count  average  traceback
            1  10 B  100.0%      1     10 B  tree-sitter-0.25.10/
                                               binding_rust/parser/
                                               lib.rs:1234
                   … 2 frames of the standard library
                   …/parser/lib.rs:1234  <tree_sitter::T…:from_raw_parts
                   src/main.rs:3         demo::main
                   … 1 frame of the runtime

               10 B  100.0%      1     10 B  total
        "#]]
        .assert_eq(&text);
    }

    #[test]
    fn a_terminal_of_unknown_width_has_80_columns() {
        let arguments = "top wide --by traceback";
        let known = run(80, arguments, &[]);
        assert_eq!(run(0, arguments, &[]), known);
        assert_ne!(run(79, arguments, &[]), known);
        assert_ne!(run(81, arguments, &[]), known);
    }
}
