//! Owns the figures of all rounds and the table made of them. Must not measure.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::rows::{Goal, Row};
use super::server::Side;

/// Figures by row and side, one per round.
#[derive(Default)]
pub(crate) struct Figures {
    values: BTreeMap<(&'static str, &'static str), Vec<f64>>,
    /// Rows that could not be measured, and why.
    pub(crate) failures: Vec<String>,
}

impl Figures {
    /// Adds one.
    pub(crate) fn add(&mut self, row: &Row, side: Side, value: f64) {
        self.values
            .entry((row.id, side.name()))
            .or_default()
            .push(value);
    }

    fn of(&self, row: &Row, side: Side) -> &[f64] {
        self.values
            .get(&(row.id, side.name()))
            .map_or(&[], Vec::as_slice)
    }

    /// The table in Markdown. `judged` is false for rows whose target does not apply to this run.
    pub(crate) fn markdown(&self, rows: &[&Row], judged: impl Fn(&Row) -> bool) -> String {
        let mut out = String::from(
            "| | unit | Apache | Menagerie | ratio | target | met |\n\
             |---|---|---:|---:|---:|---|---|\n",
        );
        for row in rows {
            let (apache, ours) = (
                median(self.of(row, Side::Apache)),
                median(self.of(row, Side::Menagerie)),
            );
            let ratio = ratio(apache, ours).map_or_else(dash, |r| format!("{}×", figure(r)));
            let met = if judged(row) {
                row.goal.met(apache, ours)
            } else {
                None
            };
            out += &format!(
                "| {} | {} | {} | {} | {ratio} | {} | {} |\n",
                row.title,
                row.unit,
                apache.map_or_else(dash, figure),
                ours.map_or_else(dash, figure),
                row.goal.text(),
                met.map_or("–", |met| if met { "yes" } else { "**no**" }),
            );
        }
        out
    }

    /// Everything for programs.
    pub(crate) fn json(&self, rows: &[&Row], judged: impl Fn(&Row) -> bool) -> Value {
        let rows: Vec<_> = rows
            .iter()
            .map(|row| {
                let (apache, ours) = (self.of(row, Side::Apache), self.of(row, Side::Menagerie));
                let medians = (median(apache), median(ours));
                json!({
                    "id": row.id,
                    "title": row.title,
                    "unit": row.unit,
                    "apache": apache,
                    "menagerie": ours,
                    "apache_median": medians.0,
                    "menagerie_median": medians.1,
                    "ratio": ratio(medians.0, medians.1),
                    "target": row.goal.text(),
                    "met": if judged(row) { row.goal.met(medians.0, medians.1) } else { None },
                })
            })
            .collect();
        json!({ "rows": rows, "failures": self.failures })
    }

    /// Whether a judged target is missed.
    pub(crate) fn misses(&self, rows: &[&Row], judged: impl Fn(&Row) -> bool) -> bool {
        rows.iter()
            .filter(|row| judged(row) && row.goal != Goal::None)
            .any(|row| {
                let apache = median(self.of(row, Side::Apache));
                row.goal.met(apache, median(self.of(row, Side::Menagerie))) == Some(false)
            })
    }
}

fn dash() -> String {
    "–".to_owned()
}

fn ratio(apache: Option<f64>, ours: Option<f64>) -> Option<f64> {
    apache
        .filter(|a| *a > 0.0)
        .zip(ours)
        .map(|(apache, ours)| ours / apache)
}

/// The middle value, or the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(*upper);
    }
    sorted
        .get(sorted.len() / 2 - 1)
        .map(|lower| f64::midpoint(*lower, *upper))
}

/// Three significant digits or whole numbers, thousands separated.
fn figure(value: f64) -> String {
    if value < 10.0 {
        return format!("{value:.2}");
    }
    if value < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::rows::ROWS;

    #[test]
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
    }

    #[test]
    fn figures_are_readable() {
        let cases = [
            (1_234_567.4, "1,234,567"),
            (999.6, "1,000"),
            (123.0, "123"),
            (12.34, "12.3"),
        ];
        for (value, text) in cases {
            assert_eq!(figure(value), text);
        }
        assert_eq!(figure(0.126), "0.13");
    }

    #[test]
    fn the_table_says_what_is_met() {
        let row = ROWS.iter().find(|row| row.id == "set").unwrap();
        let mut figures = Figures::default();
        for value in [100.0, 300.0, 200.0] {
            figures.add(row, Side::Apache, value);
        }
        let all = |_: &Row| true;
        assert!(
            figures
                .markdown(&[row], all)
                .contains("| 200 | – | – | ≥ 3× | – |")
        );
        figures.add(row, Side::Menagerie, 500.0);
        assert!(
            figures
                .markdown(&[row], all)
                .contains("| 200 | 500 | 2.50× | ≥ 3× | **no** |")
        );
        assert!(figures.misses(&[row], all));
        assert!(!figures.misses(&[row], |_| false));
        assert_eq!(figures.json(&[row], all)["rows"][0]["met"], false);
    }
}
