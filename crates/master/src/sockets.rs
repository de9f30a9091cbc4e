//! The listening sockets of the master, over its start and its reloads.

use std::os::fd::{AsFd, AsRawFd};

use ferricorn_config::{Bind, Settings};
use ferricorn_protocol::Listening;
use ferricorn_unix::listener::{BindError, Options};
use ferricorn_unix::{Address, Listener, Local};

use crate::identity;

/// How often an address that is in use is tried, one second apart, as gunicorn does.
const TRIES: usize = 5;

/// The sockets of one generation. A socket that two generations use is one socket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sockets {
    open: Vec<(Source, Listener)>,
}

/// Where a socket came from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    /// The settings.
    Bind(Bind),
    /// The process was started with it; the settings' addresses do not count then.
    Activation,
}

impl Sockets {
    /// Sockets that the process was started with.
    pub(crate) fn activated(listeners: Vec<Listener>) -> Self {
        Self { open: listeners.into_iter().map(|listener| (Source::Activation, listener)).collect() }
    }

    /// Opens what the settings name. An address in use is tried again; `pause` waits a second in between and
    /// returns false if there is no point in going on.
    ///
    /// # Errors
    /// Lines for the log, when it has given up.
    pub(crate) fn open(settings: &Settings, mut pause: impl FnMut() -> bool) -> Result<Self, String> {
        let mut sockets = Self::default();
        for bind in wanted(settings) {
            let address = address(bind);
            let mut tries = 0;
            let listener = loop {
                tries += 1;
                match open(&address, settings) {
                    Ok(listener) => break listener,
                    Err(BindError::Failed(why)) => return Err(refusal(&address, &why)),
                    Err(BindError::InUse) if sockets.holds(bind) => {
                        return Err(refusal(&address, "the settings name it twice; name it once"));
                    }
                    Err(BindError::InUse) => {
                        tracing::error!("Connection in use: {address}");
                        // As Python tells it.
                        tracing::error!("connection to {address} failed: [Errno 98] Address already in use");
                        if tries == TRIES {
                            return Err(refusal(&address, "another program listens there; stop it"));
                        }
                        tracing::debug!("Retrying in 1 second.");
                        if !pause() {
                            return Err(refusal(&address, "stopped while waiting for the address"));
                        }
                    }
                }
            };
            sockets.open.push((Source::Bind(bind.clone()), listener));
        }
        sockets.multiply(settings)?;
        Ok(sockets)
    }

    /// Sockets of the master before this one. What the settings name and it did not have is opened, what they do not
    /// name is closed, here only.
    ///
    /// # Errors
    /// Lines for the log.
    pub(crate) fn take_over(settings: &Settings, mut inherited: Vec<Listener>) -> Result<Self, String> {
        let mut sockets = Self::default();
        for bind in wanted(settings) {
            let address = address(bind);
            let known = inherited.iter().position(|listener| listener.is_for(&address));
            let listener = match known.map(|index| inherited.remove(index)) {
                Some(listener) => {
                    if let Err(error) = listener.set_backlog(options(settings)) {
                        tracing::warn!("The backlog of {listener} stays as it was: {error}");
                    }
                    listener
                }
                None => open(&address, settings).map_err(|error| refusal(&address, &error.to_string()))?,
            };
            // Further ones of the same address: whoever waits at them waits on.
            let local = listener.local().clone();
            let twins: Vec<Listener> = inherited.extract_if(.., |other| *other.local() == local).collect();
            let all = std::iter::once(listener).chain(twins);
            sockets.open.extend(all.map(|listener| (Source::Bind(bind.clone()), listener)));
        }
        sockets.multiply(settings)?;
        Ok(sockets)
    }

    /// Opens further sockets at each TCP address until there is one for each worker, if the settings want that. None is ever
    /// closed before its address is: that would reset whoever waits at it.
    fn multiply(&mut self, settings: &Settings) -> Result<(), String> {
        if !settings.reuse_port {
            return Ok(());
        }
        for bind in wanted(settings) {
            let source = Source::Bind(bind.clone());
            let known: Vec<Local> = self.of(&source).map(|listener| listener.local().clone()).collect();
            let Some(Local::Tcp(local)) = known.first() else { continue };
            let address = Address::Tcp { host: local.ip().to_string(), port: local.port() };
            for _ in known.len()..settings.workers {
                let listener =
                    open(&address, settings).map_err(|error| refusal(&address, &error.to_string()))?;
                self.open.push((source.clone(), listener));
            }
        }
        Ok(())
    }

    /// The sockets of an address.
    fn of(&self, wanted: &Source) -> impl Iterator<Item = &Listener> {
        self.open.iter().filter(move |(source, _)| source == wanted).map(|(_, listener)| listener)
    }

    /// Leaves the files of Unix sockets to the master after this one.
    pub(crate) fn leave_files(&self) {
        self.listeners().for_each(Listener::leave_file);
    }

    /// Takes over the files of Unix sockets from the master before this one.
    pub(crate) fn adopt_files(&mut self) {
        for (source, listener) in &mut self.open {
            if matches!(source, Source::Bind(Bind::Unix(_))) {
                listener.adopt_file();
            }
        }
    }

    /// Whether the process was started with them.
    pub(crate) fn are_activated(&self) -> bool {
        self.open.iter().any(|(source, _)| *source == Source::Activation)
    }

    /// Whether this address is among those that are open.
    fn holds(&self, bind: &Bind) -> bool {
        self.open.iter().any(|(source, _)| matches!(source, Source::Bind(open) if open == bind))
    }

    /// The sockets for new settings: those that they still name stay, the others are opened.
    ///
    /// # Errors
    /// Why one of them cannot be opened. It is tried once: the service goes on with the old ones.
    pub(crate) fn reopen(&self, settings: &Settings) -> Result<Self, String> {
        if self.are_activated() {
            return Ok(self.clone());
        }
        let mut sockets = Self::default();
        for bind in wanted(settings) {
            let source = Source::Bind(bind.clone());
            let mut listeners: Vec<Listener> = self.of(&source).cloned().collect();
            if listeners.is_empty() {
                listeners.push(self.find_room(bind, settings, &sockets)?);
            }
            sockets.open.extend(listeners.into_iter().map(|listener| (source.clone(), listener)));
        }
        sockets.multiply(settings)?;
        Ok(sockets)
    }

    /// A socket for an address that is new, beside those that are given up for it.
    fn find_room(&self, bind: &Bind, settings: &Settings, sockets: &Self) -> Result<Listener, String> {
        let address = address(bind);
        let refused = |error: BindError| refusal(&address, &error.to_string());
        match open(&address, settings) {
            Err(BindError::InUse) => {}
            bound => return bound.map_err(refused),
        }
        let is_given_up = |source: &Source| match source {
            Source::Bind(open) => {
                matches!(open, Bind::Tcp { .. }) && !wanted(settings).any(|bind| bind == open)
            }
            Source::Activation => false,
        };
        let given_up =
            || self.open.iter().filter(|(source, _)| is_given_up(source)).map(|(_, listener)| listener);
        // The same address in other words.
        let taken = |local: &Local| sockets.listeners().any(|listener| listener.local() == local);
        if let Some(same) = given_up().find(|open| open.is_for(&address) && !taken(open.local())) {
            return Ok(same.clone());
        }
        let is_near = |open: &&Listener| match (open.local(), bind) {
            (Local::Tcp(local), Bind::Tcp { port, .. }) => local.port() == *port,
            _ => false,
        };
        let near: Vec<&Listener> = given_up().filter(is_near).collect();
        Listener::bind_beside(&address, options(settings), &near).map_err(refused)
    }

    /// Takes out those that others do not have. Each is still open.
    pub(crate) fn without(mut self, others: &Self) -> Self {
        self.open.retain(|(_, listener)| !others.listeners().any(|other| other.local() == listener.local()));
        self
    }

    /// Adds those of others.
    pub(crate) fn add(&mut self, others: Self) {
        self.open.extend(others.open);
    }

    /// Has so many clients wait at each socket that is the master's own.
    pub(crate) fn set_backlog(&self, settings: &Settings) {
        for (source, listener) in &self.open {
            let own = matches!(source, Source::Bind(Bind::Tcp { .. } | Bind::Unix(_)));
            if own && let Err(error) = listener.set_backlog(options(settings)) {
                tracing::error!("The backlog of {listener} stays as it is: {error}");
            }
        }
    }

    /// Lets no new client in, where the socket is the master's own. Workers serve those who are in the queues.
    pub(crate) fn refuse(&self) {
        for (source, listener) in &self.open {
            // Whoever passed a socket in may go on with it.
            let own = matches!(source, Source::Bind(Bind::Tcp { .. } | Bind::Unix(_)));
            if own && let Err(error) = listener.refuse() {
                tracing::debug!("The queue of {listener} cannot be shut: {error}");
            }
        }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// `http://127.0.0.1:8000,unix:/run/app.sock`, as gunicorn lists them.
    pub(crate) fn list(&self) -> String {
        let mut names: Vec<String> = self.open.iter().map(|(_, listener)| listener.to_string()).collect();
        // Several sockets of one address are one to whoever connects.
        names.dedup();
        names.join(",")
    }

    /// The same, one by one, for hooks.
    pub(crate) fn listening(&self) -> Vec<Listening> {
        let listening =
            |listener: &Listener| Listening { fd: listener.as_fd().as_raw_fd(), name: listener.to_string() };
        self.listeners().map(listening).collect()
    }

    /// The sockets themselves.
    pub(crate) fn listeners(&self) -> impl Iterator<Item = &Listener> {
        self.open.iter().map(|(_, listener)| listener)
    }

    /// The same, to keep.
    pub(crate) fn into_listeners(self) -> Vec<Listener> {
        self.open.into_iter().map(|(_, listener)| listener).collect()
    }
}

/// The addresses that count: if one of them is a descriptor, only descriptors do, as in gunicorn.
fn wanted(settings: &Settings) -> impl Iterator<Item = &Bind> {
    let is_fd = |bind: &Bind| matches!(bind, Bind::Fd(_));
    let only_fds = settings.bind.iter().any(is_fd);
    settings.bind.iter().filter(move |bind| !only_fds || is_fd(bind))
}

fn address(bind: &Bind) -> Address {
    match bind {
        Bind::Tcp { host, port } => Address::Tcp { host: host.clone(), port: *port },
        Bind::Unix(path) => Address::Unix(path.clone()),
        Bind::Fd(fd) => Address::Fd(*fd),
    }
}

/// Listens on an address, as the settings want it.
fn open(address: &Address, settings: &Settings) -> Result<Listener, BindError> {
    let listener = Listener::bind(address, options(settings))?;
    let identity = identity::of_workers(settings);
    if !identity.is_present() {
        let give = listener.give_file(identity.owner());
        give.map_err(|error| {
            BindError::Failed(format!("the socket cannot be given to the workers' user: {error}"))
        })?;
    }
    Ok(listener)
}

fn options(settings: &Settings) -> Options {
    Options { backlog: settings.backlog, umask: settings.umask, reuse_port: settings.reuse_port }
}

fn refusal(address: &Address, why: &str) -> String {
    format!("Can't connect to {address}: {why} (or choose another address with --bind)")
}
