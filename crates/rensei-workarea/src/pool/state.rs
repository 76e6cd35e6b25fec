//! The life of a pool entry.

pub(crate) use rensei_proto::control::PoolMemberStatus as State;

/// What can happen to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// It was made, for nobody in particular.
    Made,
    /// A session got it, from the pool or as the one that it was made for.
    Taken,
    /// The session ended.
    GivenBack,
    /// It is clean again.
    Cleaned,
    /// Its dependencies are not those of the commit any more, or it is too old.
    Outdated,
    /// It is made usable again.
    Renewed,
    /// It goes: evicted, damaged, not wanted any more.
    Dropped,
}

/// The state after an event; none where that cannot happen. Nothing but the end of its session takes an entry out of
/// a session's hands.
pub(crate) const fn next(state: State, event: Event) -> Option<State> {
    match (state, event) {
        (State::Warming, Event::Made) | (State::Releasing, Event::Cleaned) => Some(State::Ready),
        (State::Warming | State::Ready, Event::Taken) => Some(State::Acquired),
        (State::Acquired, Event::GivenBack) => Some(State::Releasing),
        (State::Ready, Event::Outdated) => Some(State::Invalid),
        (State::Invalid, Event::Renewed) => Some(State::Warming),
        (State::Warming | State::Ready | State::Releasing | State::Invalid, Event::Dropped) => Some(State::Retired),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_and_event() {
        use Event::{Cleaned, Dropped, GivenBack, Made, Outdated, Renewed, Taken};
        use State::{Acquired, Invalid, Ready, Releasing, Retired, Warming};
        let events = [Made, Taken, GivenBack, Cleaned, Outdated, Renewed, Dropped];
        let table: [(State, [Option<State>; 7]); 6] = [
            (Warming, [Some(Ready), Some(Acquired), None, None, None, None, Some(Retired)]),
            (Ready, [None, Some(Acquired), None, None, Some(Invalid), None, Some(Retired)]),
            (Acquired, [None, None, Some(Releasing), None, None, None, None]),
            (Releasing, [None, None, None, Some(Ready), None, None, Some(Retired)]),
            (Invalid, [None, None, None, None, None, Some(Warming), Some(Retired)]),
            (Retired, [None; 7]),
        ];
        for (state, expected) in table {
            for (event, expected) in events.into_iter().zip(expected) {
                assert_eq!(next(state, event), expected, "{state} {event:?}");
            }
        }
    }
}
