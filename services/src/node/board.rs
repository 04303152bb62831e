//! [`Board`]: what was said last of each component, and what follows for the node. Pure; time is an argument.

use std::{collections::BTreeMap, time::SystemTime};

use super::{
    condition::{Condition, Weight},
    messages::{CheckResponse, ComponentHealth, ServingState},
};

#[derive(Debug)]
pub(super) struct Board {
    components: BTreeMap<String, ComponentHealth>,
    state: ServingState,
    since: SystemTime,
    shut_down: bool,
}

impl Board {
    pub(super) const fn new(now: SystemTime) -> Self {
        Self {
            components: BTreeMap::new(),
            state: ServingState::Serving,
            since: now,
            shut_down: false,
        }
    }

    /// Whether it was not there.
    pub(super) fn add(&mut self, name: &str, weight: Weight, now: SystemTime) -> bool {
        if self.components.contains_key(name) {
            return false;
        }
        let (state, reason) = Condition::NotServing("it has not said anything yet".into()).parts();
        let component = ComponentHealth {
            name: name.to_owned(),
            state,
            reason,
            since: Some(now),
            essential: weight == Weight::Essential,
        };
        self.components.insert(name.to_owned(), component);
        self.judge(now);
        true
    }

    pub(super) fn set(&mut self, name: &str, condition: Condition, now: SystemTime) {
        if self.shut_down {
            return;
        }
        if let Some(component) = self.components.get_mut(name) {
            let (state, reason) = condition.parts();
            if component.state != state {
                component.since = Some(now);
            }
            (component.state, component.reason) = (state, reason);
            self.judge(now);
        }
    }

    pub(super) fn remove(&mut self, name: &str, now: SystemTime) {
        self.components.remove(name);
        self.judge(now);
    }

    /// Nothing serves any more, whatever is said afterwards.
    pub(super) fn shut_down(&mut self, now: SystemTime) {
        self.shut_down = true;
        self.judge(now);
    }

    pub(super) const fn state(&self) -> ServingState {
        self.state
    }

    pub(super) fn view(&self) -> CheckResponse {
        let unwell = self
            .components
            .values()
            .filter(|it| it.state != ServingState::Serving);
        let mut reasons: Vec<_> = unwell
            .map(|it| format!("{}: {}", it.name, it.reason))
            .collect();
        if self.shut_down {
            reasons.insert(0, "the node shuts down".to_owned());
        }
        CheckResponse {
            state: self.state,
            reason: reasons.join("; "),
            since: Some(self.since),
            components: self.components.values().cloned().collect(),
        }
    }

    fn judge(&mut self, now: SystemTime) {
        let mut state = ServingState::Serving;
        for component in self.components.values() {
            match component.state {
                ServingState::Serving => {}
                ServingState::NotServing if component.essential => {
                    state = ServingState::NotServing;
                    break;
                }
                _ => state = ServingState::Degraded,
            }
        }
        if self.shut_down {
            state = ServingState::NotServing;
        }
        if self.state != state {
            (self.state, self.since) = (state, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_node_is_as_well_as_its_parts() {
        use Condition::{Degraded, NotServing, Serving};
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let mut board = Board::new(at(0));
        assert!(board.add("storage", Weight::Essential, at(1)));
        assert!(board.add("raft", Weight::Useful, at(1)));
        assert!(!board.add("raft", Weight::Essential, at(1)));
        for (second, name, condition, expected, since, reason) in [
            (
                2,
                "raft",
                Serving,
                ServingState::NotServing,
                1,
                "storage: it has not said anything yet",
            ),
            (3, "storage", Serving, ServingState::Serving, 3, ""),
            (4, "storage", Serving, ServingState::Serving, 3, ""),
            (
                5,
                "raft",
                NotServing("a".into()),
                ServingState::Degraded,
                5,
                "raft: a",
            ),
            (
                6,
                "raft",
                Degraded("b".into()),
                ServingState::Degraded,
                5,
                "raft: b",
            ),
            (
                7,
                "storage",
                Degraded("c".into()),
                ServingState::Degraded,
                5,
                "raft: b; storage: c",
            ),
            (
                8,
                "storage",
                NotServing("d".into()),
                ServingState::NotServing,
                8,
                "raft: b; storage: d",
            ),
            (
                9,
                "storage",
                NotServing("e".into()),
                ServingState::NotServing,
                8,
                "raft: b; storage: e",
            ),
            (
                10,
                "nobody",
                Serving,
                ServingState::NotServing,
                8,
                "raft: b; storage: e",
            ),
        ] {
            board.set(name, condition, at(second));
            let view = board.view();
            let seen = (view.state, view.since, view.reason.as_str());
            assert_eq!(
                seen,
                (expected, Some(at(since)), reason),
                "in second {second}"
            );
        }
        let view = board.view();
        let since: Vec<_> = view.components.iter().map(|it| it.since).collect();
        assert_eq!(
            since,
            [Some(at(6)), Some(at(8))],
            "a new reason is no new state"
        );
        board.remove("storage", at(11));
        assert_eq!(board.state(), ServingState::Degraded);
        board.shut_down(at(12));
        board.set("raft", Serving, at(13));
        let view = board.view();
        assert_eq!(
            (view.state, view.since),
            (ServingState::NotServing, Some(at(12)))
        );
        assert_eq!(view.reason, "the node shuts down; raft: b");
    }
}
