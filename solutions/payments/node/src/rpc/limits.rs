//! How much one client may ask. No IO; the clock comes in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Clients that are remembered. When there are more, all are forgotten: memory stays bounded, and a flood of addresses
/// gains no more than one burst each, which it had anyway.
const MAX_CLIENTS: usize = 65_536;

/// Seconds' worth of requests that a client may send at once after a pause.
const BURST_SECONDS: f64 = 2.0;

/// What is counted apart: a message costs a signature check and a flush, a reading neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Send,
}

/// Most of everything for one client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Readings a second; 0 is no limit.
    pub(crate) reads: u32,
    /// Messages a second; 0 is no limit.
    pub(crate) sends: u32,
    /// WebSocket connections of all clients together.
    pub(crate) connections: usize,
    /// WebSocket connections of one client.
    pub(crate) connections_per_client: usize,
    /// Subscriptions of one connection.
    pub(crate) subscriptions: usize,
    /// Whether programs on this machine are limited as well.
    pub(crate) loopback: bool,
}

/// What is remembered of a client.
#[derive(Clone, Copy, Debug, Default)]
struct Client {
    /// When its buckets are full again.
    reads: Option<Instant>,
    sends: Option<Instant>,
    connections: usize,
}

/// The counting.
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: Limits,
    clients: Mutex<HashMap<IpAddr, Client>>,
}

impl Limiter {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, clients: Mutex::default() }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Takes one request of a client, or says after what time to come again.
    pub(crate) fn take(&self, peer: IpAddr, kind: Kind, now: Instant) -> Result<(), Duration> {
        let rate = match kind {
            Kind::Read => self.limits.reads,
            Kind::Send => self.limits.sends,
        };
        if rate == 0 || self.is_exempt(peer) {
            return Ok(());
        }
        let (interval, burst) = (1.0 / f64::from(rate), (f64::from(rate) * BURST_SECONDS).max(1.0));
        self.with(peer, |client| {
            let full = match kind {
                Kind::Read => &mut client.reads,
                Kind::Send => &mut client.sends,
            };
            let owed = full.map_or(Duration::ZERO, |full| full.saturating_duration_since(now)).as_secs_f64();
            let excess = owed + interval - interval * burst;
            if excess > 1e-9 {
                return Err(Duration::from_secs_f64(excess));
            }
            *full = Some(now + Duration::from_secs_f64(owed + interval));
            Ok(())
        })
    }

    /// Counts one more connection of a client; false when it has all that it may have.
    pub(crate) fn connect(&self, peer: IpAddr) -> bool {
        let most = if self.is_exempt(peer) { usize::MAX } else { self.limits.connections_per_client };
        self.with(peer, |client| {
            let free = client.connections < most;
            client.connections += usize::from(free);
            free
        })
    }

    /// A connection of a client ended.
    pub(crate) fn disconnect(&self, peer: IpAddr) {
        self.with(peer, |client| client.connections = client.connections.saturating_sub(1));
    }

    fn is_exempt(&self, peer: IpAddr) -> bool {
        peer.to_canonical().is_loopback() && !self.limits.loopback
    }

    fn with<T>(&self, peer: IpAddr, f: impl FnOnce(&mut Client) -> T) -> T {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let peer = network(peer);
        if clients.len() >= MAX_CLIENTS && !clients.contains_key(&peer) {
            clients.retain(|_, client| client.connections > 0);
        }
        f(clients.entry(peer).or_default())
    }
}

/// A client by its address: of IPv6 the 64 bits that its provider gave it, for the others it makes up itself.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(four) => four.into(),
        IpAddr::V6(six) => std::net::Ipv6Addr::from(u128::from(six) & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn limiter(loopback: bool) -> Limiter {
        let limits =
            Limits { reads: 10, sends: 1, connections: 9, connections_per_client: 2, subscriptions: 9, loopback };
        Limiter::new(limits)
    }

    #[test]
    fn a_client_has_a_burst_and_then_its_rate() {
        let (limiter, start) = (limiter(false), Instant::now());
        let granted = |at: f64, kind| {
            let now = start + Duration::from_secs_f64(at);
            (0..100).take_while(|_| limiter.take(FAR, kind, now).is_ok()).count()
        };
        assert_eq!(granted(0.0, Kind::Read), 20, "two seconds' worth at once");
        assert_eq!(granted(0.0, Kind::Send), 2, "messages are counted apart");
        assert_eq!(granted(0.5, Kind::Read), 5);
        assert_eq!(granted(60.0, Kind::Read), 20, "nothing is saved up beyond the burst");
        let wait = limiter.take(FAR, Kind::Read, start + Duration::from_secs(60)).expect_err("too many");
        assert!(wait > Duration::from_millis(99) && wait < Duration::from_millis(101), "{wait:?}");
        let other: IpAddr = "192.0.2.2".parse().expect("an address");
        assert_eq!(limiter.take(other, Kind::Read, start), Ok(()), "nobody pays for another");
    }

    #[test]
    fn addresses_of_one_network_are_one_client_and_this_machine_is_none() {
        let (limiter, now) = (limiter(false), Instant::now());
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        for host in ["2001:db8::1", "2001:db8::2"] {
            assert_eq!(limiter.take(address(host), Kind::Send, now), Ok(()));
        }
        assert!(limiter.take(address("2001:db8::ffff"), Kind::Send, now).is_err());
        assert_eq!(limiter.take(address("2001:db8:0:1::1"), Kind::Send, now), Ok(()));
        for _ in 0..100 {
            assert_eq!(limiter.take(address("::ffff:127.0.0.1"), Kind::Send, now), Ok(()));
        }
        let strict = super::tests::limiter(true);
        assert_eq!((0..100).take_while(|_| strict.take(address("127.0.0.1"), Kind::Send, now).is_ok()).count(), 2);
    }

    #[test]
    fn connections_are_counted_until_they_end() {
        let limiter = limiter(false);
        assert_eq!([limiter.connect(FAR), limiter.connect(FAR), limiter.connect(FAR)], [true, true, false]);
        limiter.disconnect(FAR);
        assert!(limiter.connect(FAR));
    }

    #[test]
    fn a_flood_of_addresses_costs_bounded_memory() {
        let (limiter, now) = (limiter(false), Instant::now());
        assert!(limiter.connect(FAR) && limiter.connect(FAR));
        for number in 0..=MAX_CLIENTS as u32 {
            let _ = limiter.take(std::net::Ipv4Addr::from(number).into(), Kind::Read, now);
        }
        assert!(limiter.clients.lock().expect("a lock").len() <= MAX_CLIENTS);
        assert!(!limiter.connect(FAR), "open connections are not forgotten");
    }
}
