//! Tables as aligned text and as Markdown.

/// Formats a table.
///
/// All columns except the first and the last are numbers. In a table of three columns, the first
/// column is numbers, too.
pub(super) fn table<const N: usize>(
    heads: &[&str; N],
    rows: &[[String; N]],
    is_markdown: bool,
) -> String {
    let is_number = |column: usize| column + 1 < N && (column > 0 || N == 3);
    match is_markdown {
        false => {
            let widths: Vec<usize> = (0..N)
                .map(|column| {
                    let cells = rows.iter().map(|row| row[column].len());
                    cells.max().unwrap_or(0).max(heads[column].len())
                })
                .collect();
            let line = |cells: &[&str]| {
                let mut line = String::new();
                for (column, (cell, width)) in cells.iter().zip(&widths).enumerate() {
                    line += &match is_number(column) {
                        true => format!("{cell:>width$}  "),
                        false => format!("{cell:<width$}  "),
                    };
                }
                line.trim_end().to_owned() + "\n"
            };
            let mut text = line(heads);
            for row in rows {
                text += &line(&row.each_ref().map(String::as_str));
            }
            text
        }
        true => {
            let rule = (0..N).map(|column| if is_number(column) { "---:" } else { "---" });
            let mut text = format!("| {} |\n", heads.join(" | "));
            text += &format!("| {} |\n", rule.collect::<Vec<_>>().join(" | "));
            for row in rows {
                // NOTE: names may contain characters that are special in Markdown.
                let cells = row
                    .each_ref()
                    .map(|it| it.replace('|', "\\|").replace('<', "&lt;"));
                text += &format!("| {} |\n", cells.join(" | "));
            }
            text
        }
    }
}
