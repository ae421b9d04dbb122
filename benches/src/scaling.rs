//! Throughput by number of threads, relative to one thread.

use std::time::Duration;

use crate::summary::{Runs, ratio, table};

/// The runs of one contender with each number of threads. Each thread does the same work.
#[derive(Clone, Debug)]
pub struct Scaling {
    /// The name of the contender.
    pub name: &'static str,
    /// Numbers of threads, the first of them 1, and the runs with each.
    pub runs: Vec<(usize, Runs)>,
}

impl Scaling {
    /// The throughput with so many threads divided by that with one, both in the best run. `None`
    /// if there is no run with that number of threads.
    pub fn gain(&self, threads: usize) -> Option<f64> {
        let best = |wanted| {
            let mut runs = self.runs.iter();
            let (_, runs) = runs.find(|(threads, _)| *threads == wanted)?;
            Some(runs.best()).filter(|time| *time != Duration::ZERO)
        };
        Some(threads as f64 * ratio(best(1)?, best(threads)?))
    }
}

/// The gains side by side. The first contender is the bare program; next to the gain of each other
/// one is its share of the bare program's gain.
pub fn report(all: &[Scaling]) -> String {
    let Some((bare, others)) = all.split_first() else {
        return String::new();
    };
    let mut head = vec!["threads".to_owned(), bare.name.to_owned()];
    head.extend(
        others
            .iter()
            .flat_map(|other| [other.name.to_owned(), "of bare".to_owned()]),
    );
    let mut rows = vec![head];
    for &(threads, _) in &bare.runs {
        let mut row = vec![threads.to_string(), gain(bare.gain(threads))];
        for other in others {
            row.extend([
                gain(other.gain(threads)),
                percent(share(other, bare, threads)),
            ]);
        }
        rows.push(row);
    }
    table(&rows)
}

fn share(traced: &Scaling, bare: &Scaling, threads: usize) -> Option<f64> {
    Some(traced.gain(threads)? / bare.gain(threads)?)
}

fn gain(gain: Option<f64>) -> String {
    gain.map_or_else(|| "-".to_owned(), |gain| format!("{gain:.2}x"))
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.0} %", share * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaling(name: &'static str, times: &[(usize, u64)]) -> Scaling {
        let runs = times.iter().map(|&(threads, millis)| {
            let mut runs = Runs::default();
            runs.push(Duration::from_millis(millis), None);
            (threads, runs)
        });
        let runs = runs.collect();
        Scaling { name, runs }
    }

    #[test]
    fn a_gain_is_a_ratio_of_throughputs() {
        let bare = scaling("bare", &[(1, 100), (2, 100), (4, 200)]);
        let gains = [1, 2, 4, 8].map(|threads| bare.gain(threads));
        assert_eq!(gains, [Some(1.0), Some(2.0), Some(2.0), None]);
        assert_eq!(scaling("bare", &[(1, 100), (2, 0)]).gain(2), None);
    }

    #[test]
    fn the_share_of_the_gain_is_shown() {
        let expected = "\
threads   bare  counters  of bare  traced  of bare
1        1.00x     1.00x    100 %   1.00x    100 %
2        1.98x     1.92x     97 %   1.60x     81 %
64       2.00x     1.93x     96 %   1.55x     78 %
";
        let all = [
            scaling("bare", &[(1, 1000), (2, 1010), (64, 32000)]),
            scaling("counters", &[(1, 1200), (2, 1250), (64, 39800)]),
            scaling("traced", &[(1, 2000), (2, 2500), (64, 82580)]),
        ];
        assert_eq!(report(&all), expected);
        assert_eq!(report(&[]), "");
    }
}
