//! How much more work gets done with more threads.

use std::time::Duration;

use crate::summary::{Runs, ratio, table};

/// What the project wants of two threads: so much of the bare program's gain.
const WANTED: f64 = 0.9;

/// One contender's runs with each number of threads, each thread doing as much as the one alone.
#[derive(Clone, Debug)]
pub struct Scaling {
    /// The contender.
    pub name: &'static str,
    /// The numbers of threads, the first of them one, and the runs with them.
    pub runs: Vec<(usize, Runs)>,
}

impl Scaling {
    /// How much more work is done in a second with so many threads than with one, both in the best
    /// run; `None` if it was not run with them.
    pub fn gain(&self, threads: usize) -> Option<f64> {
        let best = |wanted| {
            let mut runs = self.runs.iter();
            let (_, runs) = runs.find(|(threads, _)| *threads == wanted)?;
            Some(runs.best()).filter(|time| *time != Duration::ZERO)
        };
        Some(threads as f64 * ratio(best(1)?, best(threads)?))
    }
}

/// The gains of all side by side, and for all but the first, the bare program, the share that they
/// keep of the first one's gain. Below, whether that is what the project wants.
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
    let verdicts = others.iter().filter_map(|other| verdict(other, bare));
    table(&rows) + "\n" + &verdicts.collect::<String>()
}

/// `None` without one, two, and more threads.
fn verdict(traced: &Scaling, bare: &Scaling) -> Option<String> {
    let &(most, _) = traced.runs.last()?;
    let kept = share(traced, bare, 2)?;
    let held = |scaling: &Scaling| Some(scaling.gain(most)? / scaling.gain(2)?);
    Some(format!(
        "{}: with 2 threads {} of bare's gain, {} the {} wanted; with {most} threads {} of its \
         throughput with 2, where bare has {}\n",
        traced.name,
        percent(Some(kept)),
        if kept >= WANTED { "within" } else { "BELOW" },
        percent(Some(WANTED)),
        percent(held(traced)),
        percent(held(bare)),
    ))
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
    fn the_gain_is_in_work_done_in_a_second() {
        let bare = scaling("bare", &[(1, 100), (2, 100), (4, 200)]);
        let gains = [1, 2, 4, 8].map(|threads| bare.gain(threads));
        assert_eq!(gains, [Some(1.0), Some(2.0), Some(2.0), None]);
        assert_eq!(scaling("bare", &[(1, 100), (2, 0)]).gain(2), None);
    }

    #[test]
    fn what_is_kept_of_the_gain_is_told() {
        let expected = "\
threads   bare  counters  of bare  traced  of bare
1        1.00x     1.00x    100 %   1.00x    100 %
2        1.98x     1.92x     97 %   1.60x     81 %
64       2.00x     1.93x     96 %   1.55x     78 %

counters: with 2 threads 97 % of bare's gain, within the 90 % wanted; with 64 threads 101 % of its throughput with 2, where bare has 101 %
traced: with 2 threads 81 % of bare's gain, BELOW the 90 % wanted; with 64 threads 97 % of its throughput with 2, where bare has 101 %
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
