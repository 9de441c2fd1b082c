//! What `/metrics` shows: a small registry of our own, in Prometheus' text form.
//!
//! Every label comes from a closed set, so that no client can grow the memory of the server or
//! of whoever scrapes it.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the duration buckets, in milliseconds.
const BUCKETS_MS: [u64; 10] = [1, 5, 10, 50, 100, 500, 1_000, 5_000, 10_000, 60_000];
/// Classes of status, from `1xx` to `5xx`.
const CLASSES: usize = 5;

/// What kind of door a request came through.
#[derive(Debug)]
struct Door {
    name: &'static str,
    requests: [AtomicU64; CLASSES],
    buckets: [AtomicU64; BUCKETS_MS.len() + 1],
    ms: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

/// How a request for a change ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is so now, made by this request or before.
    Done,
    /// It was refused.
    Refused,
    /// Nobody knows yet.
    Unknown,
}

/// All figures of one process.
#[derive(Debug)]
pub struct Metrics {
    doors: Vec<Door>,
    /// Uploads whose body is being received.
    pub uploads_in_flight: AtomicI64,
    /// Answers being sent.
    pub requests_in_flight: AtomicI64,
    changes: [AtomicU64; 3],
    /// Transfers ended early because the stored bytes were damaged.
    pub damaged: AtomicU64,
}

impl Metrics {
    /// Figures for these doors: the formats' names, and `api`, `system`, whatever else is fixed.
    pub fn new(doors: &[&'static str]) -> Self {
        let door = |&name| Door {
            name,
            requests: Default::default(),
            buckets: Default::default(),
            ms: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
        };
        Self {
            doors: doors.iter().chain(&["other"]).map(door).collect(),
            uploads_in_flight: AtomicI64::new(0),
            requests_in_flight: AtomicI64::new(0),
            changes: Default::default(),
            damaged: AtomicU64::new(0),
        }
    }

    fn door(&self, name: &str) -> &Door {
        let found = self.doors.iter().find(|door| door.name == name);
        found.unwrap_or_else(|| &self.doors[self.doors.len() - 1])
    }

    /// Counts one answered request. A door that is not known counts as `other`.
    pub fn count_request(&self, door: &str, status: u16, took: Duration, bytes_out: u64) {
        let door = self.door(door);
        let class = usize::from(status / 100).clamp(1, CLASSES) - 1;
        door.requests[class].fetch_add(1, Relaxed);
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let bucket = BUCKETS_MS.iter().position(|&bound| ms <= bound).unwrap_or(BUCKETS_MS.len());
        door.buckets[bucket].fetch_add(1, Relaxed);
        door.ms.fetch_add(ms, Relaxed);
        door.bytes_out.fetch_add(bytes_out, Relaxed);
    }

    /// Counts received bytes of a body.
    pub fn count_bytes_in(&self, door: &str, bytes: u64) {
        self.door(door).bytes_in.fetch_add(bytes, Relaxed);
    }

    /// Counts how a request for a change ended.
    pub fn count_change(&self, outcome: Change) {
        self.changes[outcome as usize].fetch_add(1, Relaxed);
    }

    /// The text form (version 0.0.4).
    pub fn render(&self) -> String {
        let mut out = String::new();
        let mut line = |text: std::fmt::Arguments<'_>| {
            // Writing to a string cannot fail.
            let _ = out.write_fmt(text);
            out.push('\n');
        };
        line(format_args!("# HELP ingot_requests_total Requests answered."));
        line(format_args!("# TYPE ingot_requests_total counter"));
        for door in &self.doors {
            for (class, count) in door.requests.iter().enumerate() {
                line(format_args!(
                    "ingot_requests_total{{door=\"{}\",status=\"{}xx\"}} {}",
                    door.name,
                    class + 1,
                    count.load(Relaxed)
                ));
            }
        }
        line(format_args!("# HELP ingot_request_seconds Time from head to last byte."));
        line(format_args!("# TYPE ingot_request_seconds histogram"));
        for door in &self.doors {
            let mut sum = 0;
            for (n, bucket) in door.buckets.iter().enumerate() {
                sum += bucket.load(Relaxed);
                let bound = BUCKETS_MS
                    .get(n)
                    .map_or("+Inf".to_owned(), |&ms| (ms as f64 / 1_000.0).to_string());
                line(format_args!(
                    "ingot_request_seconds_bucket{{door=\"{}\",le=\"{bound}\"}} {sum}",
                    door.name
                ));
            }
            let seconds = door.ms.load(Relaxed) as f64 / 1_000.0;
            line(format_args!("ingot_request_seconds_sum{{door=\"{}\"}} {seconds}", door.name));
            line(format_args!("ingot_request_seconds_count{{door=\"{}\"}} {sum}", door.name));
        }
        line(format_args!("# HELP ingot_body_bytes_total Bytes of bodies."));
        line(format_args!("# TYPE ingot_body_bytes_total counter"));
        for door in &self.doors {
            for (direction, count) in [("in", &door.bytes_in), ("out", &door.bytes_out)] {
                line(format_args!(
                    "ingot_body_bytes_total{{door=\"{}\",direction=\"{direction}\"}} {}",
                    door.name,
                    count.load(Relaxed)
                ));
            }
        }
        line(format_args!("# HELP ingot_changes_total Requests for a change, by outcome."));
        line(format_args!("# TYPE ingot_changes_total counter"));
        for (n, outcome) in ["done", "refused", "unknown"].into_iter().enumerate() {
            let count = self.changes[n].load(Relaxed);
            line(format_args!("ingot_changes_total{{outcome=\"{outcome}\"}} {count}"));
        }
        line(format_args!("# HELP ingot_damaged_total Transfers ended by damaged content."));
        line(format_args!("# TYPE ingot_damaged_total counter"));
        line(format_args!("ingot_damaged_total {}", self.damaged.load(Relaxed)));
        for (name, help, gauge) in [
            ("ingot_uploads_in_flight", "Bodies being received.", &self.uploads_in_flight),
            ("ingot_requests_in_flight", "Requests being answered.", &self.requests_in_flight),
        ] {
            line(format_args!("# HELP {name} {help}"));
            line(format_args!("# TYPE {name} gauge"));
            line(format_args!("{name} {}", gauge.load(Relaxed)));
        }
        out
    }
}

/// Counts something as long as it is kept.
#[derive(Debug)]
pub struct InFlight<'a>(&'a AtomicI64);

impl<'a> InFlight<'a> {
    /// One more.
    pub fn enter(gauge: &'a AtomicI64) -> Self {
        gauge.fetch_add(1, Relaxed);
        Self(gauge)
    }
    /// One that was entered elsewhere, about to leave.
    pub fn leave(gauge: &'a AtomicI64) -> Self {
        Self(gauge)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_come_out_as_they_went_in() {
        let metrics = Metrics::new(&["raw", "api"]);
        metrics.count_request("raw", 200, Duration::from_millis(5), 7);
        metrics.count_request("raw", 206, Duration::from_millis(6), 3);
        metrics.count_request("nonsense", 404, Duration::from_secs(3_600), 0);
        metrics.count_bytes_in("api", 11);
        metrics.count_change(Change::Unknown);
        let upload = InFlight::enter(&metrics.uploads_in_flight);
        let text = metrics.render();
        for line in [
            "ingot_requests_total{door=\"raw\",status=\"2xx\"} 2",
            "ingot_requests_total{door=\"other\",status=\"4xx\"} 1",
            "ingot_request_seconds_bucket{door=\"raw\",le=\"0.001\"} 0",
            "ingot_request_seconds_bucket{door=\"raw\",le=\"0.005\"} 1",
            "ingot_request_seconds_bucket{door=\"raw\",le=\"0.01\"} 2",
            "ingot_request_seconds_bucket{door=\"other\",le=\"60\"} 0",
            "ingot_request_seconds_bucket{door=\"other\",le=\"+Inf\"} 1",
            "ingot_request_seconds_sum{door=\"raw\"} 0.011",
            "ingot_body_bytes_total{door=\"raw\",direction=\"out\"} 10",
            "ingot_body_bytes_total{door=\"api\",direction=\"in\"} 11",
            "ingot_changes_total{outcome=\"unknown\"} 1",
            "ingot_uploads_in_flight 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert!(!text.contains("nonsense"));
        drop(upload);
        assert!(metrics.render().contains("ingot_uploads_in_flight 0"));
    }
}
