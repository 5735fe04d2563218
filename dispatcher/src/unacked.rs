//! Which messages of a drain may be acknowledged: those whose entries are all finished. Pure.

use std::collections::HashMap;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Unacked {
    /// Unfinished entries per message.
    open: HashMap<u64, usize>,
    done: Vec<u64>,
}

impl Unacked {
    /// A message came with this many entries to finish.
    pub(crate) fn arrived(&mut self, tag: u64, entries: usize) {
        if entries == 0 {
            self.done.push(tag);
        } else {
            self.open.insert(tag, entries);
        }
    }

    /// One entry of a message is finished.
    pub(crate) fn finished(&mut self, tag: u64) {
        if let Some(open) = self.open.get_mut(&tag) {
            *open -= 1;
            if *open == 0 {
                self.open.remove(&tag);
                self.done.push(tag);
            }
        }
    }

    /// Messages that may be acknowledged, ascending, each given out once.
    pub(crate) fn take_done(&mut self) -> Vec<u64> {
        let mut done = std::mem::take(&mut self.done);
        done.sort_unstable();
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_acknowledged_once_when_its_last_entry_is_finished() {
        let mut unacked = Unacked::default();
        unacked.arrived(1, 2);
        unacked.arrived(2, 1);
        unacked.arrived(3, 0);
        unacked.finished(1);
        assert_eq!(unacked.take_done(), [3], "nothing to do in it");
        unacked.finished(2);
        unacked.finished(1);
        assert_eq!(unacked.take_done(), [1, 2]);
        assert!(unacked.take_done().is_empty());
    }
}
