//! What was made, told while it is made and at the end.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::Order;
use super::calls::Failure;
use crate::operator::{Output, refusal};

/// So many refusals are told; the others are counted.
const TOLD: u64 = 5;
/// Where nobody looks, a line comes after each such part of the people.
const LINES: u64 = 10;

/// Counts, and the bar that shows them.
pub(super) struct Totals<'o> {
    order: &'o Order,
    output: &'o Output,
    bar: Option<ProgressBar>,
    done: AtomicU64,
    pub(super) people: AtomicU64,
    pub(super) addresses: AtomicU64,
    pub(super) devices: AtomicU64,
    pub(super) payments: AtomicU64,
    pub(super) tickets: AtomicU64,
    failed: AtomicU64,
}

impl<'o> Totals<'o> {
    pub(super) fn new(order: &'o Order, output: &'o Output) -> anyhow::Result<Self> {
        let zero = AtomicU64::default;
        let bar = output.is_live().then(|| ProgressBar::new(order.everybody()));
        if let Some(bar) = &bar {
            bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} people {msg} {per_sec}, {eta} left")?);
        }
        Ok(Self {
            order,
            output,
            bar,
            done: zero(),
            people: zero(),
            addresses: zero(),
            devices: zero(),
            payments: zero(),
            tickets: zero(),
            failed: zero(),
        })
    }

    /// A person is done with, well or not.
    pub(super) fn done_one(&self) -> anyhow::Result<()> {
        let (done, all) = (self.done.fetch_add(1, Relaxed) + 1, self.order.everybody());
        match &self.bar {
            Some(bar) => bar.set_position(done),
            None if self.output.is_json() || done == all => {}
            None if (done * LINES) / all > ((done - 1) * LINES) / all => {
                self.output.line(&format!("{} of {} people", grouped(done), grouped(all)))?;
            }
            None => {}
        }
        Ok(())
    }

    /// A refusal: the first ones are told.
    pub(super) fn refused(&self, what: &str, failure: &Failure) {
        let (Failure::Refused(status) | Failure::GivenUp(status)) = failure;
        let failed = self.failed.fetch_add(1, Relaxed) + 1;
        if failed > TOLD {
            return;
        }
        let text = format!("failed: {what}: {}", refusal(status));
        match &self.bar {
            Some(bar) => {
                bar.set_message("some failed");
                bar.println(text);
            }
            None => eprintln!("{text}"),
        }
    }

    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Relaxed)
    }

    /// Takes the bar away and says what there is.
    pub(super) fn finish(&self, took: Duration) -> anyhow::Result<()> {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let rate = self.people.load(Relaxed) as f64 / took.as_secs_f64().max(f64::MIN_POSITIVE);
        let counts = self.counts();
        if self.output.is_json() {
            let mut object: serde_json::Map<_, _> =
                counts.map(|(count, word, _)| (word.to_owned(), count.into())).into_iter().collect();
            object.insert("seconds".to_owned(), took.as_secs_f64().into());
            object.insert("people_per_second".to_owned(), rate.into());
            object.insert("failed".to_owned(), self.failed().into());
            return self.output.line(&serde_json::Value::Object(object).to_string());
        }
        let counts =
            counts.map(|(count, many, one)| format!("{} {}", grouped(count), if count == 1 { one } else { many }));
        self.output.line(&format!(
            "{} in {:.1} s ({rate:.0} people a second), {} failed",
            counts.join(", "),
            took.as_secs_f64(),
            grouped(self.failed())
        ))
    }

    fn counts(&self) -> [(u64, &'static str, &'static str); 6] {
        let of = |counter: &AtomicU64| counter.load(Relaxed);
        [
            (self.order.companies.into(), "companies", "company"),
            (of(&self.people), "people", "person"),
            (of(&self.addresses), "addresses", "address"),
            (of(&self.devices), "devices", "device"),
            (of(&self.payments), "payments", "payment"),
            (of(&self.tickets), "tickets", "ticket"),
        ]
    }
}

impl Order {
    pub(super) fn everybody(&self) -> u64 {
        u64::from(self.companies) * u64::from(self.people)
    }
}

/// With a comma after each three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (position, digit) in digits.char_indices() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn numbers_have_commas() {
        assert_eq!([0, 999, 1_000, 100_000, 1_234_567].map(grouped), ["0", "999", "1,000", "100,000", "1,234,567"]);
    }
}
