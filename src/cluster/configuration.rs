use serde::{Deserialize, Serialize};

use super::NodeId;

/// A node that the cluster knows.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    pub name: NodeId,
    /// host:port of its peer listener.
    pub peer: String,
    /// Who is preferred as leader; 0: never leads.
    pub priority: u32,
    /// For acknowledgements, leases and elections; not while it is joining and has yet
    /// to catch up.
    pub counts: bool,
}

/// Who belongs to the cluster: numbered, and carried as a frame of the log (P22, rule 33).
///
/// Each differs from the one before by one member, or by whether one counts.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// 0: as the processes' files say; rises by one with each change.
    pub version: u64,
    /// Ordered by name.
    pub members: Vec<Member>,
}

impl Configuration {
    /// The longest that one may be, as JSON, bytes: two fit into a node's control file.
    pub const BYTES_MAX: usize = 1700;

    /// What the files say, before any change: everybody counts.
    pub fn initial(members: impl IntoIterator<Item = (NodeId, String, u32)>) -> Self {
        let member = |(name, peer, priority)| Member { name, peer, priority, counts: true };
        let mut members: Vec<Member> = members.into_iter().map(member).collect();
        members.sort_by(|a, b| a.name.cmp(&b.name));
        Self { version: 0, members }
    }

    pub fn get(&self, name: &NodeId) -> Option<&Member> {
        self.members.iter().find(|member| member.name == *name)
    }

    /// Those who count.
    pub fn counting(&self) -> impl Iterator<Item = &NodeId> + Clone {
        self.members.iter().filter(|member| member.counts).map(|member| &member.name)
    }

    /// N of the failover protocol.
    pub fn size(&self) -> usize {
        self.counting().count()
    }

    /// Whether `name` counts.
    pub fn counts(&self, name: &NodeId) -> bool {
        self.get(name).is_some_and(|member| member.counts)
    }

    /// The next one: with `member`, in the place of whoever had its name.
    pub fn with(&self, member: Member) -> Self {
        let mut next = self.without(&member.name);
        let place = next.members.partition_point(|other| other.name < member.name);
        next.members.insert(place, member);
        next
    }

    /// The next one: without `name`.
    pub fn without(&self, name: &NodeId) -> Self {
        let others = self.members.iter().filter(|member| member.name != *name);
        Self { version: self.version + 1, members: others.cloned().collect() }
    }

    /// As a frame of the log carries it.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plain data")
    }

    /// From a frame of the log.
    ///
    /// # Errors
    /// When the bytes are no configuration.
    pub fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }
}

/// What one process knows of the members.
///
/// ```text
///   committed ◄── settle: its frame is committed ── pending ◄── tell: by the monitor
/// ```
///
/// Invariant: `pending`, if there is one, is newer than `committed`.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roll {
    /// The newest of which it is known that its frame is committed, or what the files say.
    pub committed: Configuration,
    /// A newer one that is acted upon, committed or not.
    pub pending: Option<Configuration>,
}

impl Roll {
    pub fn new(committed: Configuration) -> Self {
        Self { committed, pending: None }
    }

    /// The one that is acted upon.
    pub fn newest(&self) -> &Configuration {
        self.pending.as_ref().unwrap_or(&self.committed)
    }

    /// The monitor names the configuration to act upon. True if that is another one.
    pub fn tell(&mut self, configuration: Configuration) -> bool {
        let newest = self.newest();
        // Of an equal version but other members where a failover gave one up (rule 17).
        let news = configuration.version > self.committed.version
            && configuration.version >= newest.version
            && configuration != *newest;
        if news {
            self.pending = Some(configuration);
        }
        news
    }

    /// The frame of `configuration` is committed. True if that is news.
    pub fn settle(&mut self, configuration: &Configuration) -> bool {
        // What the files say is no frame's.
        if configuration.version < self.committed.version.max(1) || *configuration == self.committed
        {
            return false;
        }
        self.committed = configuration.clone();
        self.pending.take_if(|pending| pending.version <= configuration.version);
        true
    }

    /// Whether either names it.
    pub fn lists(&self, name: &NodeId) -> bool {
        self.get(name).is_some()
    }

    /// As the newest knows it, or else the one before.
    pub fn get(&self, name: &NodeId) -> Option<&Member> {
        self.newest().get(name).or_else(|| self.committed.get(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn initial(names: &[&str]) -> Configuration {
        let member = |name: &&str| (name.parse().expect("legal"), format!("{name}:1"), 1);
        Configuration::initial(names.iter().map(member))
    }

    fn names(configuration: &Configuration) -> String {
        let name = |member: &Member| {
            if member.counts { member.name.to_string() } else { format!("({})", member.name) }
        };
        configuration.members.iter().map(name).collect()
    }

    fn member(name: &str, counts: bool) -> Member {
        let name: NodeId = name.parse().expect("legal");
        Member { peer: format!("{name}:1"), name, priority: 1, counts }
    }

    #[test]
    fn one_follows_from_the_one_before() {
        let first = initial(&["c", "a"]);
        assert_eq!((names(&first), first.size()), ("ac".to_owned(), 2));
        let joining = first.with(member("b", false));
        assert_eq!((names(&joining), joining.size(), joining.version), ("a(b)c".to_owned(), 2, 1));
        let joined = joining.with(member("b", true));
        assert_eq!((names(&joined), joined.size(), joined.version), ("abc".to_owned(), 3, 2));
        let left = joined.without(&member("a", true).name);
        assert_eq!((names(&left), left.version), ("bc".to_owned(), 3));
        assert_eq!(Configuration::from_json(&left.to_json()).expect("its JSON"), left);
        assert!(Configuration::from_json(b"{\"version\":1}").is_err());
    }

    #[test]
    fn the_newest_is_acted_upon_and_what_is_committed_is_kept() {
        let first = initial(&["a", "b"]);
        let second = first.with(member("c", true));
        let third = second.without(&member("b", true).name);
        let mut roll = Roll::new(first.clone());
        assert!(
            !roll.tell(first.clone()) && roll.tell(second.clone()) && !roll.tell(second.clone())
        );
        assert_eq!((roll.newest(), &roll.committed), (&second, &first));
        assert!(roll.settle(&second) && roll.pending.is_none() && !roll.settle(&second));
        assert!(!roll.tell(first) && roll.tell(third.clone()));
        assert!(roll.lists(&member("b", true).name), "it is not settled yet");
        assert!(roll.settle(&third) && !roll.lists(&member("b", true).name));
    }
}
