//! The shape of a configuration, as data. Files are compared with it, `schema config` prints it, and a test compares the
//! documentation with it.

/// What a value may be.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// A string.
    Text,
    /// A string, or a number or boolean that is taken as a string.
    Scalar,
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Whole {
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// A number of at least 1.
    Factor,
    /// A length of time: `30s`, or a number of seconds.
    Time,
    /// A number of bytes: `1MiB`, or a number.
    Size,
    /// A host name, or an IP address.
    Host,
    /// Where a web page comes from: scheme, host and port.
    Origin,
    /// A path into a value, as flows write it.
    Path,
    /// Any JSON.
    Any,
    /// One of a few words.
    Word(&'static [&'static str]),
    /// A list.
    List {
        /// What an element is called.
        noun: &'static str,
        /// What an element may be.
        of: &'static Shape,
    },
    /// An object whose keys the author chooses.
    Map {
        /// What a member is called.
        noun: &'static str,
        /// What a member may be.
        of: &'static Shape,
    },
    /// An object with declared keys.
    Object(&'static Object),
    /// One of several objects, distinguished by their `type`.
    ByType(&'static [Variant]),
    /// One of several shapes of different JSON types; an object with a `type` before one without.
    Either(&'static [Shape]),
}

/// An object with declared keys.
#[derive(Debug)]
pub struct Object {
    /// Its name in the JSON Schema.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// The keys.
    pub keys: &'static [Key],
    /// At least one key of each of these lists is required.
    pub required: &'static [&'static [&'static str]],
}

/// An object of one `type`.
#[derive(Debug)]
pub struct Variant {
    /// The value of `type`.
    pub name: &'static str,
    /// Whether this release has it.
    pub built: bool,
    /// The other keys.
    pub object: Object,
}

/// A key of an object.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The key.
    pub name: &'static str,
    /// What its value may be.
    pub shape: Shape,
    /// Whether this release supports it.
    pub built: bool,
    /// The default value, as JSON.
    pub default: Option<&'static str>,
    /// What it is for, in a sentence.
    pub about: &'static str,
}

impl Shape {
    /// What an element of a list may be.
    pub fn element(self) -> Self {
        match self {
            Self::List { of, .. } => *of,
            Self::Either(shapes) => {
                let list = shapes.iter().find(|shape| matches!(shape, Self::List { .. }));
                list.map_or(Self::Any, |list| list.element())
            }
            _ => Self::Any,
        }
    }

    /// What a member of an object may be; `kind` is the object's `type`.
    pub fn member(self, key: &str, kind: Option<&str>) -> Self {
        let of = |object: &Object| object.key(key).map_or(Self::Any, |key| key.shape);
        match self {
            Self::Map { of, .. } => *of,
            Self::Object(object) => of(object),
            Self::ByType(_) if key == "type" => Self::Text,
            Self::ByType(variants) => {
                let variant = variants.iter().find(|variant| kind == Some(variant.name));
                variant.map_or(Self::Any, |variant| of(&variant.object))
            }
            Self::Either(shapes) => {
                let object = shapes.iter().find(|shape| match shape {
                    Self::ByType(_) => kind.is_some(),
                    shape => matches!(shape, Self::Object(_) | Self::Map { .. }),
                });
                object.map_or(Self::Any, |object| object.member(key, kind))
            }
            _ => Self::Any,
        }
    }
}

impl Key {
    /// A key that does something.
    pub const fn new(name: &'static str, shape: Shape, about: &'static str) -> Self {
        Self { name, shape, built: true, default: None, about }
    }

    /// The same with a default.
    pub const fn default(mut self, json: &'static str) -> Self {
        self.default = Some(json);
        self
    }

    /// The same, not built yet.
    pub const fn planned(mut self) -> Self {
        self.built = false;
        self
    }
}

impl Object {
    /// The key of this name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}
