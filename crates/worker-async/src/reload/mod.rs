//! `--reload`: notices that a file of the app has changed, and tells the master.
//!
//! A thread of its own looks, since it asks the app, which may have to wait for its interpreter. What the app has
//! imported grows while it runs, so the list of files is renewed at each look. With inotify(7) a change is known at
//! once; without, each file is looked at.

mod failed;
mod files;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use ferricorn_config::{CodeReload, ReloadEngine};
use ferricorn_protocol::Sources;
use ferricorn_telemetry::escape;
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};

use crate::lifecycle::Lifecycle;

pub(crate) use failed::FailedApp;
use files::Files;

/// How often files are looked at, or the list of files is renewed.
const PERIOD: Duration = Duration::from_millis(500);

/// How long a file is left alone after its change, for whoever writes it to finish.
const SETTLE: Duration = Duration::from_millis(50);

/// What is watched, and since when.
pub(crate) struct Watched {
    pub(crate) reload: CodeReload,
    /// What tells the files of the app's code.
    pub(crate) sources: Option<Arc<dyn Sources>>,
    /// Files in which the app's failure lies.
    pub(crate) culprits: Vec<PathBuf>,
    /// When the load of the app began: what was written after that may not have been loaded.
    pub(crate) since: SystemTime,
}

/// Watches until the worker drains, and calls `tell` at each change.
pub(crate) fn watch(watched: Watched, lifecycle: Arc<Lifecycle>, tell: impl Fn() + Send + 'static) {
    let look = move || Watch::new(watched).run(&lifecycle, tell);
    let thread = thread::Builder::new().name("ferricorn-reload".to_owned());
    if let Err(error) = thread.spawn(look) {
        tracing::error!("Changed code is not noticed: {error}");
    }
}

struct Watch {
    watched: Watched,
    files: Files,
    /// Who tells of changes, and the channel that they come by; none if files are looked at.
    notifier: Option<(RecommendedWatcher, Receiver<PathBuf>)>,
}

impl Watch {
    fn new(watched: Watched) -> Self {
        let notifier = match watched.reload.engine {
            ReloadEngine::Poll => None,
            engine => notifier().inspect_err(|error| complain(engine, error)).ok(),
        };
        Self { files: Files::new(watched.since), watched, notifier }
    }

    fn run(mut self, lifecycle: &Lifecycle, tell: impl Fn()) {
        while !lifecycle.draining() {
            let Some(list) = self.list() else { return };
            // Before the files are looked at, so that no change is missed in between.
            for directory in self.files.new_directories(&list) {
                self.listen(&directory);
            }
            let polls = self.notifier.is_none();
            let Some(changed) = self.files.renew(list, polls).or_else(|| self.wait()) else { continue };
            if lifecycle.draining() {
                return;
            }
            thread::sleep(SETTLE);
            self.files.settle();
            tracing::info!("Worker reloading: {} modified", escape(&*changed.to_string_lossy()));
            tell();
        }
    }

    /// What is to be watched now; `None` if the app cannot be asked any more.
    fn list(&self) -> Option<Vec<PathBuf>> {
        let mut list = match &self.watched.sources {
            Some(sources) => sources.files()?,
            None => Vec::new(),
        };
        list.extend(self.watched.culprits.iter().cloned());
        for pattern in &self.watched.reload.extra_files {
            list.extend(files::matching(pattern));
        }
        Some(list)
    }

    /// Waits for the next look, or until a file of the list has changed.
    fn wait(&mut self) -> Option<PathBuf> {
        let Some((_, events)) = &self.notifier else {
            thread::sleep(PERIOD);
            return None;
        };
        let end = Instant::now() + PERIOD;
        loop {
            match events.recv_timeout(end.saturating_duration_since(Instant::now())) {
                // Others share its directory, such as a database that is written again and again.
                Ok(path) if self.files.has_changed(&path) => return Some(path),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return None,
                Err(RecvTimeoutError::Disconnected) => {
                    self.notifier = None;
                    return None;
                }
            }
        }
    }

    /// Has changes in a directory told. Editors put a new file in the place of the old one, so it is not the file itself.
    fn listen(&mut self, directory: &Path) {
        let Some((watcher, _)) = &mut self.notifier else { return };
        if let Err(error) = watcher.watch(directory, RecursiveMode::NonRecursive)
            && directory.exists()
        {
            complain(self.watched.reload.engine, &error);
            self.notifier = None;
        }
    }
}

fn notifier() -> notify::Result<(RecommendedWatcher, Receiver<PathBuf>)> {
    let (sender, events) = channel();
    let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        let Ok(event) = event else { return };
        if !event.kind.is_access() {
            // Who does not listen any more has no use for it.
            event.paths.into_iter().for_each(|path| drop(sender.send(path)));
        }
    })?;
    Ok((watcher, events))
}

/// The kernel bounds how many directories one user may watch.
fn complain(engine: ReloadEngine, error: &notify::Error) {
    if engine == ReloadEngine::Inotify {
        tracing::warn!(
            "inotify does not work ({error}), so files are looked at instead, as with --reload-engine poll"
        );
    }
}
