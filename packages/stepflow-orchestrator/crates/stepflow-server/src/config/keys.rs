//! The keys of the configuration file: those that are read, and those that are promised.

/// The keys of one kind of object.
pub struct Keys {
    /// Read.
    pub built: &'static [&'static str],
    /// Known, and refused until they do something.
    pub planned: &'static [&'static str],
}

/// At the root.
pub const ROOT: Keys = Keys {
    built: &["plugins", "routes", "stateStore"],
    planned: &["blobStore", "defaults", "limits", "retention", "retry", "server", "storageConfig", "workingDirectory"],
};

/// Of a plugin of the type `builtin`.
pub const BUILTIN: Keys = Keys { built: &["type"], planned: &["allowPaths"] };

/// Of a plugin of the type `stepflow`.
pub const STEPFLOW: Keys = Keys {
    built: &["type", "command", "args", "env"],
    planned: &[
        "cancelGrace",
        "healthCheck",
        "inheritEnv",
        "instances",
        "maxConcurrency",
        "startTimeout",
        "token",
        "transport",
        "url",
        "validateOutputs",
    ],
};

/// Of a rule of a route.
pub const RULE: Keys =
    Keys { built: &["plugin", "component"], planned: &["componentAllow", "componentDeny", "conditions"] };

/// Of the state store.
pub const STATE_STORE: Keys = Keys { built: &["type"], planned: &["databaseUrl", "durability", "path"] };

/// The types of plugins.
pub const PLUGIN_TYPES: Keys = Keys { built: &["builtin", "stepflow"], planned: &["mcp", "mock", "nats"] };

/// The types of state stores.
pub const STATE_STORE_TYPES: Keys = Keys { built: &["inMemory"], planned: &["postgres", "sqlite"] };

impl Keys {
    /// Whether it is read.
    pub fn has(&self, name: &str) -> bool {
        self.built.contains(&name)
    }

    /// Whether it is promised.
    pub fn plans(&self, name: &str) -> bool {
        self.planned.contains(&name)
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &'static str> {
        self.built.iter().chain(self.planned).copied()
    }
}
