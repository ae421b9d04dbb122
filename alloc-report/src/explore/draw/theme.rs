//! [`Theme`]: colours. None carries information alone.

use ratatui::style::{Color, Modifier, Style};

/// The colours of the screen.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Theme {
    has_colours: bool,
}

impl Theme {
    /// Without colours.
    pub(in super::super) fn plain() -> Theme {
        Theme { has_colours: false }
    }

    /// With colours, unless `NO_COLOR` is set.
    pub(in super::super) fn of_environment() -> Theme {
        let refuses = std::env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty());
        Theme {
            has_colours: !refuses,
        }
    }

    fn colour(self, colour: Color) -> Style {
        match self.has_colours {
            true => Style::new().fg(colour),
            false => Style::new(),
        }
    }

    pub(super) fn bold(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(super) fn dim(self) -> Style {
        match self.has_colours {
            true => Style::new().fg(Color::DarkGray),
            false => Style::new().add_modifier(Modifier::DIM),
        }
    }

    pub(super) fn selected(self) -> Style {
        match self.has_colours {
            true => Style::new()
                .bg(Color::Indexed(24))
                .fg(Color::White)
                .add_modifier(Modifier::BOLD),
            false => Style::new().add_modifier(Modifier::REVERSED),
        }
    }

    pub(super) fn chosen(self) -> Style {
        match self.has_colours {
            true => Style::new()
                .bg(Color::Cyan)
                .fg(Color::Black)
                .add_modifier(Modifier::BOLD),
            false => Style::new().add_modifier(Modifier::REVERSED),
        }
    }

    pub(super) fn key(self) -> Style {
        self.colour(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    pub(super) fn title(self) -> Style {
        self.colour(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    pub(super) fn message(self) -> Style {
        self.colour(Color::Yellow).add_modifier(Modifier::BOLD)
    }

    pub(super) fn grown(self) -> Style {
        self.colour(Color::Red).add_modifier(Modifier::BOLD)
    }

    pub(super) fn shrunk(self) -> Style {
        self.colour(Color::Green)
    }

    pub(super) fn found(self) -> Style {
        self.colour(Color::Magenta)
            .add_modifier(Modifier::UNDERLINED)
    }

    /// A part of the whole: the larger, the warmer.
    pub(super) fn share(self, share: f64) -> Style {
        match share {
            0.5.. => self.colour(Color::Red),
            0.1.. => self.colour(Color::Yellow),
            _ => self.colour(Color::Green),
        }
    }
}
