//! `create`: a new jail from the template and flavors, or nothing.

use qjail_fs::Kind;
use qjail_model::{Definition, JailName, Limits, ParamValue, Params, Size, nearest};
use qjail_plugin_api::{At, Event, IfExists, Place, Step};
use qjail_store::format_time;
use qjail_sys::Need;

use crate::action::{Action, ThickSource, jails, staging};
use crate::engine::{Engine, jail_info};
use crate::flavor;
use crate::gather::{Gathered, PluginOptions, Question, apply_params, gather};
use crate::ops::archived::{Archived, FromArchive};
use crate::ops::image::{Image, image_file};
use crate::places::{Places, rel};
use crate::transaction::Plan;
use crate::{Error, Result};

/// The most jails that `--duplicate` makes (qjail 5.x's limit).
const MAX_DUPLICATES: u32 = 254;

/// Parameters that follow from the jail's name.
const OWN_PARAMS: [&str; 3] = ["jid", "name", "path"];

/// What the user asked for.
#[derive(Debug, Clone, Default)]
pub struct CreateRequest {
    /// The name; with `duplicate` what the names begin with.
    pub name: String,
    /// Flavors, in order; none is `default`.
    pub flavors: Vec<String>,
    /// How many jails to make, named NAME-001, ….
    pub duplicate: Option<u32>,
    /// Give it its own full copy of the base.
    pub thick: bool,
    /// Give it a file system of its own, so large.
    pub image: Option<Size>,
    /// Take its root from an archive instead of the template.
    pub archive: Option<FromArchive>,
    /// Parameters of jail(8).
    pub params: Vec<(String, ParamValue)>,
    /// What its processes may use together.
    pub limits: Limits,
    /// The options of plugins.
    pub options: PluginOptions,
}

/// The names that a request makes.
///
/// # Errors
/// A name that breaks the rules, or a number of duplicates outside 1 to 254.
pub fn names(request: &CreateRequest) -> Result<Vec<JailName>> {
    let name = JailName::new(request.name.as_str()).map_err(Error::usage)?;
    let Some(count) = request.duplicate else {
        return Ok(vec![name]);
    };
    if !(1..=MAX_DUPLICATES).contains(&count) {
        return Err(Error::usage(format!(
            "--duplicate {count}: the number must be from 1 to {MAX_DUPLICATES}"
        )));
    }
    (1..=count)
        .map(|i| JailName::new(format!("{name}-{i:03}")).map_err(Error::usage))
        .collect()
}

impl Engine {
    /// Makes one jail. With `dry_run` the plan is returned and nothing is changed.
    ///
    /// # Errors
    /// All objections, or the first failure; nothing is left of the jail then.
    pub fn create(&self, name: &JailName, request: &CreateRequest) -> Result<Plan> {
        self.require(Need::Files)?;
        if request.image.is_some() {
            self.require(Need::Images)?;
        }
        let _jail = self.lock(&jail_lock(name))?;
        let _names = self.wait_lock("definitions")?;
        let plan = self.plan_create(name, request)?;
        self.perform(&plan)?;
        Ok(plan)
    }

    fn plan_create(&self, name: &JailName, request: &CreateRequest) -> Result<Plan> {
        let places = self.places(self.zone.as_ref(), Some(staging(name.as_str())));
        let mut objections = Vec::new();
        if self.definitions().load(name).is_ok_and(|d| d.is_some()) || self.definitions().exists(name) {
            return Err(Error::new(format!("Error: Jailname already exists. {name}"))
                .hint("qjail list shows the jails; names are unique over all zones"));
        }
        objections.extend(self.directory_in_the_way(&places, name));
        let flavors = self.flavors(&places, request, &mut objections);
        let mut definition = self.draft(request, &flavors, &mut objections);
        objections.extend(self.against_limits(name, &definition.limits));
        let archived = request.archive.as_ref().map(|a| self.archived(a)).transpose()?;
        definition.thick |= archived.as_ref().is_some_and(|a| a.thick);
        if let Some(size) = request.image {
            objections.extend(self.against_image(name, size, &places, archived.as_ref())?);
        }
        let question = Question {
            event: Event::Create,
            name,
            definition: &definition,
            options: &request.options,
            duplicate: request.duplicate.is_some(),
            several: false,
            new_name: None,
            places: &places,
        };
        let gathered = gather(self, &question, objections)?;
        apply_params(&mut definition.params, &gathered.params);
        definition.plugins.extend(gathered.keep.clone());
        self.check_params(name, &definition.params)?;
        self.check_start(name, &places, None, &definition.params)?;
        let steps = self.create_steps(&places, name, &definition, gathered, archived)?;
        if self.dry_run {
            let mut planned = self
                .planned
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            planned.push(jail_info(name, &definition, ""));
        }
        Ok(steps)
    }

    fn draft(&self, request: &CreateRequest, flavors: &[String], objections: &mut Vec<Error>) -> Definition {
        let mut definition = Definition::new();
        definition.zone = self.zone.clone();
        definition.thick = request.thick;
        definition.image = request.image;
        definition.created = format_time(self.now);
        definition.flavors = flavors.to_vec();
        definition.limits = request.limits.clone();
        for (key, value) in &request.params {
            if OWN_PARAMS.contains(&key.as_str()) {
                objections.push(Error::usage(format!("--param {key}: qjail sets it itself")));
                continue;
            }
            if key == "depend" {
                definition.depend = self.depend_of(value, objections);
                continue;
            }
            match Params::check(key, value) {
                Ok(()) => drop(definition.params.set(key.clone(), value.clone())),
                Err(e) => objections.push(Error::usage(format!("--param {key}: {e}"))),
            }
        }
        definition
    }

    /// The jails that it waits for at its start: they must be there.
    fn depend_of(&self, value: &ParamValue, objections: &mut Vec<Error>) -> Vec<String> {
        let names = depend_names(value);
        let missing = names
            .iter()
            .filter(|n| JailName::new(n.as_str()).map_or(true, |n| !self.definitions().exists(&n)));
        objections.extend(missing.map(|n| {
            Error::new(format!("--param depend: Error: Jail doesn't exist. {n}"))
                .hint("qjail list shows the jails")
        }));
        names
    }

    fn directory_in_the_way(&self, places: &Places, name: &JailName) -> Option<Error> {
        let there = places
            .open(Place::Jails)
            .ok()?
            .metadata(&rel(name.as_str()).ok()?)
            .ok()?;
        there.map(|_| {
            Error::new(format!(
                "{} exists already",
                places.jails.join(name.as_str()).display()
            ))
            .hint("it belongs to no jail that qjail knows; move it away or choose another name")
        })
    }

    fn flavors(&self, places: &Places, request: &CreateRequest, objections: &mut Vec<Error>) -> Vec<String> {
        // Without the directory there is no base either, which says more.
        let Ok(list) = flavor::list(places) else {
            return Vec::new();
        };
        let known: Vec<String> = list.iter().map(|(n, _)| n.clone()).collect();
        if request.flavors.is_empty() {
            // What was archived had its flavors.
            let known = if request.archive.is_some() {
                Vec::new()
            } else {
                known
            };
            return known.into_iter().filter(|n| n == "default").collect();
        }
        for name in &request.flavors {
            match list.iter().find(|(n, _)| n == name) {
                Some((_, Ok(_))) => {}
                Some((_, Err(e))) => objections.push(e.clone()),
                None => objections.push(unknown_flavor(name, &known)),
            }
        }
        request.flavors.clone()
    }

    pub(crate) fn check_params(&self, name: &JailName, params: &Params) -> Result<()> {
        let refused = self.system.refused_params(params);
        let errors = refused
            .into_iter()
            .map(|(key, why)| Error::new(format!("{name}: parameter {key}: {why}")))
            .map(|e| e.hint("jail(8) lists the parameters; not every system carries out all of them"));
        Error::all(errors.chain(self.against_name(name, params)).collect()).map_or(Ok(()), Err)
    }

    /// What the system has against the parameters of a jail together. What it had against the old ones too is not for now.
    pub(crate) fn check_start(
        &self,
        name: &JailName,
        places: &Places,
        old: Option<(&JailName, &Params)>,
        new: &Params,
    ) -> Result<()> {
        let against = |name, params| self.system.against_start(&self.bare_spec(name, places, params));
        match against(name, new) {
            Err(e) if old.is_none_or(|(name, old)| against(name, old).is_ok()) => Err(e.into()),
            _ => Ok(()),
        }
    }

    /// What the system has against the name of a jail with these parameters.
    pub(crate) fn against_name(&self, name: &JailName, params: &Params) -> Option<Error> {
        let why = self.system.refused_name(name.as_str(), params)?;
        Some(Error::new(format!("{name}: {why}")).hint("choose a shorter name"))
    }

    /// What the system has against limits.
    pub(crate) fn against_limits(&self, name: &JailName, limits: &Limits) -> Vec<Error> {
        let refused = self.system.refused_limits(limits).into_iter();
        let error = |(limit, missing): (String, qjail_sys::Missing)| Error {
            hint: missing.hint,
            ..Error::new(format!("{name}: limit {limit}: {}", missing.what))
        };
        refused.map(error).collect()
    }

    fn create_steps(
        &self,
        places: &Places,
        name: &JailName,
        definition: &Definition,
        gathered: Gathered,
        archived: Option<Archived>,
    ) -> Result<Plan> {
        let new = staging(name.as_str());
        let mut steps = Vec::new();
        let leftover = places.open(Place::Jails)?.metadata(&rel(&new)?)?.is_some();
        if leftover {
            steps.push(Action::own(Step::RemoveTree { at: jails(&new) }));
        }
        // A thin jail from an archive needs the base too.
        let template = current_template(places)?;
        let image = definition.image.map(|size| (size, new_image(places, name)));
        if let Some((size, image)) = &image {
            steps.extend(make_image(*size, image, &new));
        }
        let has_base = archived.as_ref().is_some_and(|a| a.thick);
        steps.push(match archived {
            Some(archived) => Action::Unpack {
                file: archived.file,
                under: archived.under.to_string(),
            },
            None => Action::own(Step::CopyTree {
                from: template,
                to: jails(&new),
            }),
        });
        if definition.thick && !has_base {
            steps.push(Action::Thicken {
                sources: self.thick_sources(places, name, definition)?,
            });
        }
        steps.extend(self.host_files(name, definition));
        steps.extend(
            definition
                .flavors
                .iter()
                .map(|f| Action::MergeFlavor { flavor: f.clone() }),
        );
        steps.extend(gathered.pre);
        steps.extend(gathered.post);
        steps.extend(image.map(|(_, image)| Action::DetachImage { image }));
        let mut commit = vec![Action::own(Step::Rename {
            from: jails(&new),
            to: jails(name.as_str()),
        })];
        commit.extend(gathered.commit);
        commit.push(Action::WriteDefinition {
            name: name.to_string(),
            text: definition.to_text(),
        });
        Ok(Plan {
            title: format!("create {name}"),
            lock: jail_lock(name),
            places: places.clone(),
            // The steps make and mount it themselves.
            image: None,
            steps,
            commit,
            cleanup: gathered.cleanup,
            warnings: gathered.warnings,
            notes: gathered.notes,
        })
    }

    /// What a jail would see of the shared base: the mounts that plugins give it at start.
    fn thick_sources(
        &self,
        places: &Places,
        name: &JailName,
        definition: &Definition,
    ) -> Result<Vec<ThickSource>> {
        let thin = Definition {
            thick: false,
            params: Params::new(),
            ..definition.clone()
        };
        let question = Question {
            event: Event::Start,
            name,
            definition: &thin,
            options: &PluginOptions::new(),
            duplicate: false,
            several: false,
            new_name: None,
            places,
        };
        let mounts = gather(self, &question, Vec::new())?.mounts;
        Ok(mounts
            .into_iter()
            .map(|m| ThickSource {
                source: m.source,
                target: m.target,
            })
            .collect())
    }

    /// What a jail needs of its host and its name, before flavors have their say.
    fn host_files(&self, name: &JailName, definition: &Definition) -> Vec<Action> {
        let mut files = Vec::new();
        // As resolver(5) reads it; a host without the file has no name servers to pass on.
        if let Ok(text) = std::fs::read_to_string("/etc/resolv.conf") {
            // A template may have a link there: the jail gets a file of its own.
            files.push(Action::own(Step::RemoveFile {
                at: At::jail("etc/resolv.conf"),
            }));
            files.push(write("etc/resolv.conf", text));
        }
        if self.system.os() == "linux" {
            files.push(write("etc/hostname", format!("{name}\n")));
            files.push(write("etc/hosts", hosts(name, definition)));
        }
        files
    }
}

/// The image of a jail that is being made.
fn new_image(places: &Places, name: &JailName) -> Image {
    Image {
        file: image_file(places, name),
        at: places.jails.join(staging(name.as_str())),
    }
}

/// Makes an image and mounts it where the jail is being made, the directory `new`.
fn make_image(size: Size, image: &Image, new: &str) -> [Action; 3] {
    let dir = Step::MakeDir {
        at: jails(new),
        mode: 0o755,
    };
    [
        Action::MakeImage {
            file: image.file.clone(),
            bytes: size.bytes(),
        },
        Action::own(dir),
        Action::AttachImage { image: image.clone() },
    ]
}

fn write(path: &str, content: String) -> Action {
    Action::own(Step::WriteFile {
        at: At::jail(path),
        content,
        mode: Some(0o644),
        if_exists: IfExists::Replace,
    })
}

fn hosts(name: &JailName, definition: &Definition) -> String {
    let mut text = String::from("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    let addresses = [
        definition.params.list("ip4.addr"),
        definition.params.list("ip6.addr"),
    ]
    .concat();
    for spec in addresses
        .iter()
        .filter_map(|a| a.parse::<qjail_model::AddrSpec>().ok())
    {
        text.push_str(&format!("{}\t{name}\n", spec.addr));
    }
    text
}

fn unknown_flavor(name: &str, known: &[String]) -> Error {
    let error = Error::new(format!("there is no flavor {name}"));
    match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("there is a flavor {near}")),
        None if known.is_empty() => error.hint("qjail install brings the flavors that ship with qjail"),
        None => error.hint(format!("there are: {}", known.join(", "))),
    }
}

/// The template of the zone's current base, found through the link `.base`.
pub(crate) fn current_template(places: &Places) -> Result<At> {
    let jails_dir = places.open(Place::Jails)?;
    let link = rel(".base")?;
    let missing = || Error::new("no base is installed in this zone").hint("install one first: qjail install");
    if jails_dir.metadata(&link)?.is_none_or(|m| m.kind != Kind::Link) {
        return Err(missing());
    }
    let target = jails_dir.read_link(&link)?;
    let target = target.to_str().ok_or_else(missing)?;
    let template = format!("{target}/template");
    rel(&template)?;
    Ok(jails(&template))
}

/// The lock of one jail.
pub(crate) fn jail_lock(name: &JailName) -> String {
    format!("jail.{name}")
}

/// The names in `depend = a, b`.
pub(crate) fn depend_names(value: &ParamValue) -> Vec<String> {
    let lists = value.to_list();
    let names = lists.iter().flat_map(|l| l.split(',')).map(str::trim);
    let mut all: Vec<String> = Vec::new();
    for name in names.filter(|n| !n.is_empty()) {
        if !all.iter().any(|known| known == name) {
            all.push(name.to_owned());
        }
    }
    all
}
