use std::{
    net::TcpListener,
    ops::Range,
    sync::{Mutex, PoisonError},
};

use super::{ServerError, secret};

/// Below every usual ephemeral range (Linux starts at 32768), so that an outgoing connection never takes a server's
/// port while a test has that server stopped.
const PORTS: Range<u16> = 15_000..32_000;
const TRIES: u32 = 200;

/// A port on 127.0.0.1 that nobody listens on. Somebody may take it before our server does, so callers try again with
/// another one when their server could not bind.
pub(super) fn free() -> Result<u16, ServerError> {
    let [high, low] = secret::random_bytes::<2>()?;
    first_free(u16::from_be_bytes([high, low]), |port| TcpListener::bind(("127.0.0.1", port)).is_ok())
}

/// The first of `count` ports in a row on 127.0.0.1 that nobody listens on, for those who have to know a port before
/// they take it. No two calls of one process get the same.
pub fn free_in_a_row(count: u16) -> Result<u16, ServerError> {
    static NEXT: Mutex<Option<u16>> = Mutex::new(None);
    let mut next = NEXT.lock().unwrap_or_else(PoisonError::into_inner);
    let start = match *next {
        Some(offset) => offset,
        None => u16::from_be_bytes(secret::random_bytes::<2>()?),
    };
    let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let first = first_free(start, |port| (port..port.saturating_add(count)).all(is_free))?;
    *next = Some(first - PORTS.start + count);
    Ok(first)
}

/// Starts anywhere, so that two suites that start at once meet different ports.
fn first_free(start: u16, is_free: impl Fn(u16) -> bool) -> Result<u16, ServerError> {
    let span = u32::from(PORTS.end - PORTS.start);
    (0..TRIES)
        .filter_map(|step| u16::try_from((u32::from(start) + step) % span).ok())
        .map(|offset| PORTS.start + offset)
        .find(|port| is_free(*port))
        .ok_or(ServerError::NoFreePort { tried: TRIES })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_start_gives_a_port_in_the_range() -> Result<(), ServerError> {
        for start in [0, 1, 16_999, 17_000, u16::MAX] {
            let port = first_free(start, |_| true)?;
            assert!(PORTS.contains(&port), "{start} gave {port}");
        }
        Ok(())
    }

    #[test]
    fn taken_ports_are_passed_over_and_the_range_wraps() -> Result<(), ServerError> {
        let last = PORTS.end - PORTS.start - 1;
        assert_eq!(first_free(last, |port| port != PORTS.end - 1)?, PORTS.start);
        Ok(())
    }

    #[test]
    fn nothing_free_is_an_error() {
        assert!(matches!(first_free(0, |_| false), Err(ServerError::NoFreePort { .. })));
    }

    #[test]
    fn rows_do_not_overlap() -> Result<(), ServerError> {
        let (one, other) = (free_in_a_row(3)?, free_in_a_row(3)?);
        assert!(one.abs_diff(other) >= 3, "{one} and {other}");
        Ok(())
    }

    #[test]
    fn a_listening_port_is_not_free() -> Result<(), Box<dyn std::error::Error>> {
        let port = free()?;
        let _listener = TcpListener::bind(("127.0.0.1", port))?;
        let offset = port - PORTS.start;
        let next = first_free(offset, |port| TcpListener::bind(("127.0.0.1", port)).is_ok())?;
        assert_ne!(next, port);
        Ok(())
    }
}
