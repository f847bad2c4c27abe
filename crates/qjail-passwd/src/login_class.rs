//! Login classes: what login.conf(5) of FreeBSD says about limits, priority, umask and environment.
//!
//! Read as setusercontext(3) does, from the text alone: neither `login.conf.db` nor a user's `~/.login_conf`. A value that
//! can not be read counts as missing; a `tc=` that leads nowhere does not take the rest of its class away.

use crate::capability::{Database, Record};

/// A limit's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// No limit.
    Unlimited,
    /// Bytes, seconds or a number, by the resource. Not above `i64::MAX`.
    Exactly(u64),
}

/// What setrlimit(2) of FreeBSD bounds, by the names of login.conf(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// `cputime`, seconds.
    CpuTime,
    /// `filesize`, bytes of a file.
    FileSize,
    /// `datasize`, bytes.
    DataSize,
    /// `stacksize`, bytes.
    StackSize,
    /// `coredumpsize`, bytes.
    CoreDumpSize,
    /// `memoryuse`, resident bytes.
    MemoryUse,
    /// `memorylocked`, bytes.
    MemoryLocked,
    /// `maxproc`, processes of the user.
    MaxProc,
    /// `openfiles`, of a process.
    OpenFiles,
    /// `sbsize`, bytes in buffers of sockets.
    SocketBuffers,
    /// `vmemoryuse`, bytes of address space.
    VirtualMemory,
    /// `pseudoterminals`.
    PseudoTerminals,
    /// `swapuse`, bytes.
    SwapUse,
    /// `kqueues`.
    Kqueues,
    /// `umtxp`, locks shared between processes.
    SharedLocks,
    /// `pipebuf`, bytes in buffers of pipes.
    PipeBuffers,
}

/// How the value of a resource is written.
#[derive(Clone, Copy)]
enum Form {
    Number,
    Size,
    Time,
}

/// The table of login_class.c, in its order.
const RESOURCES: [(&str, Form, Resource); 16] = [
    ("cputime", Form::Time, Resource::CpuTime),
    ("filesize", Form::Size, Resource::FileSize),
    ("datasize", Form::Size, Resource::DataSize),
    ("stacksize", Form::Size, Resource::StackSize),
    ("memoryuse", Form::Size, Resource::MemoryUse),
    ("memorylocked", Form::Size, Resource::MemoryLocked),
    ("maxproc", Form::Number, Resource::MaxProc),
    ("openfiles", Form::Number, Resource::OpenFiles),
    ("coredumpsize", Form::Size, Resource::CoreDumpSize),
    ("sbsize", Form::Size, Resource::SocketBuffers),
    ("vmemoryuse", Form::Size, Resource::VirtualMemory),
    ("pseudoterminals", Form::Number, Resource::PseudoTerminals),
    ("swapuse", Form::Size, Resource::SwapUse),
    ("kqueues", Form::Size, Resource::Kqueues),
    ("umtxp", Form::Number, Resource::SharedLocks),
    ("pipebuf", Form::Size, Resource::PipeBuffers),
];

/// Lists of directories, between blanks or commas, and their variables.
const PATHS: [(&str, &str); 3] = [("path", "PATH"), ("cdpath", "CDPATH"), ("manpath", "MANPATH")];
const TEXTS: [(&str, &str); 5] = [
    ("lang", "LANG"),
    ("charset", "MM_CHARSET"),
    ("mail", "MAIL"),
    ("timezone", "TZ"),
    ("term", "TERM"),
];

/// More bytes of variables than this are not set: half of what execve(2) takes (`ARG_MAX`, sys/syslimits.h).
const ROOM: usize = 256 << 10;

/// A limit. What is not set stays as the process has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Of what.
    pub resource: Resource,
    /// The one that holds (`-cur`).
    pub soft: Option<Amount>,
    /// How far the user may raise it (`-max`).
    pub hard: Option<Amount>,
}

/// What a class sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginClass {
    /// Limits, those that are set at all.
    pub limits: Vec<Limit>,
    /// The nice value, -20 to 20; none where the process keeps its own (`inherit`).
    pub nice: Option<i32>,
    /// The umask; none where the process keeps its own.
    pub umask: Option<u16>,
    /// Variables with `~` and `$` not yet replaced; of a name that comes again the later one counts.
    variables: Vec<(String, String)>,
}

impl Default for LoginClass {
    /// For a jail without login.conf: the environment of the class `default` that FreeBSD ships, no limits.
    fn default() -> Self {
        let variables = [("BLOCKSIZE", "K"), ("LANG", "C.UTF-8")];
        Self {
            limits: Vec::new(),
            nice: Some(0),
            umask: None,
            variables: variables.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        }
    }
}

impl LoginClass {
    fn of(record: &Record<'_>) -> Self {
        Self {
            limits: limits(record),
            nice: nice(record),
            umask: umask(record),
            variables: variables(record),
        }
    }

    /// The variables for a user: `~` is the home directory, `$` the name, unless a backslash precedes it.
    #[must_use]
    pub fn environment(&self, name: &str, home: &str) -> Vec<(String, String)> {
        let mut room = ROOM;
        let mut all: Vec<(String, String)> = Vec::new();
        for (key, value) in &self.variables {
            let left = room.checked_sub(key.len());
            let Some((left, value)) = left.and_then(|left| Some((left, expanded(value, name, home, left)?)))
            else {
                continue;
            };
            room = left - value.len();
            match all.iter_mut().find(|(k, _)| k == key) {
                Some(same) => same.1 = value,
                None => all.push((key.clone(), value)),
            }
        }
        all
    }
}

/// The classes of a `login.conf`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginConf(Database);

impl LoginConf {
    /// Reads the bytes of the file. Never fails: what is no record is no class.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        LoginConf(Database::parse(&String::from_utf8_lossy(bytes)))
    }

    /// The class of a user, as login_getpwclass(3) finds it: the one that `master.passwd` names or, where it names none, `root`
    /// for number 0; `default` where there is no such record.
    #[must_use]
    pub fn class(&self, named: &str, uid: u32) -> LoginClass {
        let name = match (named, uid) {
            ("", 0) => "root",
            ("", _) => "default",
            (name, _) => name,
        };
        let record = self.0.record(name).or_else(|| self.0.record("default"));
        record.as_ref().map(LoginClass::of).unwrap_or_default()
    }
}

fn limits(record: &Record<'_>) -> Vec<Limit> {
    let read = |(name, form, resource)| {
        let both = amount(record, name, form);
        let limit = Limit {
            resource,
            soft: amount(record, &format!("{name}-cur"), form).or(both),
            hard: amount(record, &format!("{name}-max"), form).or(both),
        };
        (limit.soft.is_some() || limit.hard.is_some()).then_some(limit)
    };
    RESOURCES.into_iter().filter_map(read).collect()
}

fn amount(record: &Record<'_>, name: &str, form: Form) -> Option<Amount> {
    let Some(text) = record.text(name) else {
        let Form::Number = form else { return None };
        return record.number(name).and_then(bounded);
    };
    if is_unlimited(&text) {
        return Some(Amount::Unlimited);
    }
    match form {
        Form::Number => bounded(leading_number(&text)?.0.try_into().ok()?),
        Form::Size => sum(&text, size_unit),
        Form::Time => sum(&text, time_unit),
    }
}

fn bounded(number: u64) -> Option<Amount> {
    i64::try_from(number).is_ok().then_some(Amount::Exactly(number))
}

fn is_unlimited(text: &str) -> bool {
    let words = ["infinity", "inf", "unlimited", "unlimit", "-1"];
    words.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Numbers with a unit each, added up: `2h40m`.
fn sum(text: &str, unit: fn(char) -> Option<u64>) -> Option<Amount> {
    let (mut total, mut rest) = (0u64, text);
    while !rest.is_empty() {
        let (number, behind) = leading_number(rest)?;
        let letter = behind.chars().next();
        let unit = letter.map_or(Some(1), |c| unit(c.to_ascii_lowercase()))?;
        total = total.checked_add(u64::try_from(number).ok()?.checked_mul(unit)?)?;
        rest = letter.map_or("", |c| &behind[c.len_utf8()..]);
    }
    bounded(total)
}

fn size_unit(letter: char) -> Option<u64> {
    Some(match letter {
        'b' => 512,
        'k' => 1 << 10,
        'm' => 1 << 20,
        'g' => 1 << 30,
        't' => 1 << 40,
        _ => return None,
    })
}

fn time_unit(letter: char) -> Option<u64> {
    const DAY: u64 = 24 * 60 * 60;
    Some(match letter {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => DAY,
        'w' => 7 * DAY,
        'y' => 365 * DAY,
        _ => return None,
    })
}

/// strtoq(3) with base 0: the number that a text begins with, and what follows it.
fn leading_number(text: &str) -> Option<(i64, &str)> {
    let text = text.trim_start();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let hexadecimal = digits.strip_prefix("0x").or(digits.strip_prefix("0X"));
    let (base, digits) = match hexadecimal.filter(|d| d.starts_with(|c: char| c.is_ascii_hexdigit())) {
        Some(digits) => (16, digits),
        None if digits.starts_with('0') => (8, digits),
        None => (10, digits),
    };
    let end = digits.find(|c: char| !c.is_digit(base)).unwrap_or(digits.len());
    let (digits, behind) = digits.split_at(end);
    Some((sign * i64::from_str_radix(digits, base).ok()?, behind))
}

/// Beyond -20 and 20 login.conf(5) has real-time and idle priorities, which no jail may set: the nearest ordinary one.
fn nice(record: &Record<'_>) -> Option<i32> {
    let number = match record.text("priority") {
        Some(text) if text.eq_ignore_ascii_case("inherit") => return None,
        Some(text) => leading_number(&text).map(|(n, _)| n),
        None => record.number("priority").and_then(|n| i64::try_from(n).ok()),
    };
    i32::try_from(number.unwrap_or(0).clamp(-20, 20)).ok()
}

fn umask(record: &Record<'_>) -> Option<u16> {
    let number = match record.text("umask") {
        Some(text) => u64::try_from(leading_number(&text)?.0).ok(),
        None => record.number("umask"),
    };
    u16::try_from(number?).ok().map(|mask| mask & 0o777)
}

fn variables(record: &Record<'_>) -> Vec<(String, String)> {
    let path = |text: String| text.replace([',', ' ', '\t'], ":");
    let paths = PATHS.map(|(name, key)| (key, record.text(name).map(path)));
    let texts = TEXTS.map(|(name, key)| (key, record.text(name)));
    let mut all: Vec<(String, String)> = paths
        .into_iter()
        .chain(texts)
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect();
    for entry in list(&record.text("setenv").unwrap_or_default()) {
        if let Some((key, value)) = entry.split_once('=') {
            all.push((key.trim_start_matches([' ', '\t']).to_owned(), value.to_owned()));
        }
    }
    all.retain(|(key, _)| !key.is_empty());
    all
}

/// What stands between commas. Quotes keep commas together and go; one that is not closed is a character like others.
fn list(text: &str) -> Vec<String> {
    let (mut all, mut entry, mut rest) = (Vec::new(), String::new(), text);
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\'' | '"' => match rest.split_once(c) {
                Some((quoted, behind)) => {
                    entry += quoted;
                    rest = behind;
                }
                None => {
                    entry.push(c);
                    entry += rest;
                    rest = "";
                }
            },
            ',' => all.push(std::mem::take(&mut entry)),
            c => entry.push(c),
        }
    }
    all.push(entry);
    all
}

/// A value with `~` and `$` replaced; nothing where it becomes longer than `room`.
fn expanded(value: &str, name: &str, home: &str, room: usize) -> Option<String> {
    let mut out = String::new();
    let mut rest = value.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' => out.push(rest.next_if(|c| matches!(c, '~' | '$')).unwrap_or(c)),
            '~' => {
                out += home;
                // Between the home directory and what follows there is one slash, as in setusercontext(3).
                if !home.ends_with('/') && rest.peek() != Some(&'/') {
                    out.push('/');
                }
            }
            '$' => out += name,
            c => out.push(c),
        }
        if out.len() > room {
            return None;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests;
