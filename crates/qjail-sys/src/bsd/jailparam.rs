//! The buffers of jail_get(2).

use std::ffi::CStr;

use crate::Running;

/// sys/param.h `MAXHOSTNAMELEN`: the longest name.
const NAME: usize = 256;
/// sys/param.h `MAXPATHLEN`.
const PATH: usize = 1024;
/// sys/jail.h `JAIL_DYING`: dying jails are told too.
const DYING: i32 = 0x08;
/// sys/jail.h of 15.0, `JAIL_GET_DESC`: a new descriptor of the jail is written to the parameter `desc`.
const GET_DESC: i32 = 0x40;

/// A jail that the kernel knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Jail {
    pub(crate) jid: i32,
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) dying: bool,
}

impl Jail {
    /// What the contract tells of it.
    pub(crate) fn running(&self) -> Running {
        Running {
            jid: self.jid,
            dying: self.dying,
            path: Some((&self.path).into()),
        }
    }
}

/// One question to jail_get(2) and the place for its answer: `lastjid`, the jail before the one that is wanted, or the
/// name of the one that is wanted.
#[derive(Debug)]
pub(crate) struct Question {
    last: Option<[u8; 4]>,
    descriptor: Option<[u8; 4]>,
    jid: [u8; 4],
    dying: [u8; 4],
    name: [u8; NAME],
    path: [u8; PATH],
}

impl Question {
    /// For the first jail after `jid`.
    pub(crate) fn after(jid: i32) -> Self {
        Self {
            last: Some(jid.to_ne_bytes()),
            descriptor: None,
            jid: [0; 4],
            dying: [0; 4],
            name: [0; NAME],
            path: [0; PATH],
        }
    }

    /// For the jail of that name; none where no jail can have it.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let mut question = Self {
            last: None,
            ..Self::after(0)
        };
        let fits = name.len() < NAME && !name.is_empty() && !name.bytes().any(|b| b == 0);
        fits.then(|| question.name[..name.len()].copy_from_slice(name.as_bytes()))?;
        Some(question)
    }

    /// The same, and for a descriptor of the jail: jail_get(2) with [`GET_DESC`] writes it.
    pub(crate) fn with_descriptor(self) -> Self {
        Self {
            descriptor: Some((-1_i32).to_ne_bytes()),
            ..self
        }
    }

    /// The flags of the call: sys/jail.h.
    pub(crate) fn flags(&self) -> i32 {
        DYING | if self.descriptor.is_some() { GET_DESC } else { 0 }
    }

    /// The descriptor that the kernel wrote; none where none was asked for.
    pub(crate) fn descriptor(&self) -> Option<i32> {
        self.descriptor.map(i32::from_ne_bytes).filter(|d| *d >= 0)
    }

    /// The parameters of the call, each with its buffer.
    pub(crate) fn parts(&mut self) -> Vec<(&'static CStr, &mut [u8])> {
        let mut parts: Vec<(&'static CStr, &mut [u8])> = Vec::new();
        if let Some(last) = &mut self.last {
            parts.push((c"lastjid", last));
        }
        if let Some(descriptor) = &mut self.descriptor {
            parts.push((c"desc", descriptor));
        }
        parts.push((c"jid", &mut self.jid));
        parts.push((c"dying", &mut self.dying));
        parts.push((c"name", &mut self.name));
        parts.push((c"path", &mut self.path));
        parts
    }

    /// What the kernel wrote.
    pub(crate) fn answer(&self) -> Jail {
        Jail {
            jid: i32::from_ne_bytes(self.jid),
            name: text(&self.name),
            path: text(&self.path),
            dying: i32::from_ne_bytes(self.dying) != 0,
        }
    }
}

fn text(buffer: &[u8]) -> String {
    let end = buffer.iter().position(|b| *b == 0).unwrap_or(buffer.len());
    String::from_utf8_lossy(&buffer[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(question: &mut Question) -> Vec<String> {
        question
            .parts()
            .iter()
            .map(|(k, b)| format!("{} {}", k.to_str().unwrap(), b.len()))
            .collect()
    }

    #[test]
    fn questions_and_answers() {
        let mut next = Question::after(7);
        assert_eq!(
            keys(&mut next),
            ["lastjid 4", "jid 4", "dying 4", "name 256", "path 1024"]
        );
        assert_eq!(next.parts()[0].1, 7_i32.to_ne_bytes());
        for (key, buffer) in next.parts() {
            match key.to_bytes() {
                b"jid" => buffer.copy_from_slice(&12_i32.to_ne_bytes()),
                b"dying" => buffer.copy_from_slice(&1_i32.to_ne_bytes()),
                b"name" => buffer[..6].copy_from_slice(b"jail1\0"),
                b"path" => buffer.fill(b'x'),
                _ => {}
            }
        }
        let jail = next.answer();
        assert_eq!(
            (jail.jid, jail.name.as_str(), jail.path.len(), jail.dying),
            (12, "jail1", 1024, true)
        );
    }

    #[test]
    fn a_name_is_asked_for_as_it_is() {
        let mut named = Question::named("jail1").unwrap();
        assert_eq!(keys(&mut named), ["jid 4", "dying 4", "name 256", "path 1024"]);
        assert_eq!(named.answer().name, "jail1");
        assert_eq!((named.flags(), named.descriptor()), (0x08, None));
        let mut with = named.with_descriptor();
        assert_eq!(
            keys(&mut with),
            ["desc 4", "jid 4", "dying 4", "name 256", "path 1024"]
        );
        assert_eq!((with.flags(), with.descriptor()), (0x48, None));
        with.parts()[0].1.copy_from_slice(&7_i32.to_ne_bytes());
        assert_eq!(
            (with.descriptor(), with.answer().name.as_str()),
            (Some(7), "jail1")
        );
        assert!(Question::named("").is_none() && Question::named(&"x".repeat(256)).is_none());
        assert!(Question::named("a\0b").is_none());
    }
}
