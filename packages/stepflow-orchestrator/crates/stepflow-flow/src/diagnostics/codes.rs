//! The kinds of things that can be wrong, with the number and the level of each.

/// How serious a diagnostic is. It follows from the code: 1xxx, 2xxx or 3xxx.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// Worth knowing.
    Warning,
    /// Wrong; the flow will fail there when it runs, if not before.
    Error,
    /// The document cannot be used.
    Fatal,
}

impl Level {
    /// The level's name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }

    /// The word for it in messages to people: a fatal diagnostic is an "error" there as well.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error | Self::Fatal => "error",
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $kind:literal;)*) => {
        /// Names what is wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $($(#[$doc])* $name = $number,)*
        }

        impl Code {
            /// All codes, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The code's name in JSON.
            #[must_use]
            pub fn kind(self) -> &'static str {
                match self {
                    $(Self::$name => $kind,)*
                }
            }
        }
    };
}

codes! {
    /// No expression mentions the step, and it is not `mustExecute`: it never runs.
    UnreachableStep = 1000, "unreachableStep";
    /// The flow has no name.
    MissingFlowName = 1001, "missingFlowName";
    /// The flow has no description.
    MissingFlowDescription = 1002, "missingFlowDescription";
    /// A path into the input or a variable that its schema contradicts.
    UnvalidatedAccess = 1003, "unvalidatedFieldAccess";
    /// A variable is used and the flow declares none.
    MissingVariableSchema = 1004, "missingVariableSchema";
    /// A key that means nothing here.
    UnknownKey = 1005, "unknownKey";
    /// A literal input object has a field that the component's schema does not name.
    UnknownInputField = 1006, "unknownInputField";
    /// A text that looks like a reference, or a path that is only one key.
    LooksLikeReference = 1007, "looksLikeReference";
    /// A section of an older language that has exactly one meaning today, and is read so.
    OldSection = 1008, "oldSection";
    /// An inline default of a variable that always has a value.
    UnusedDefault = 1009, "unusedDefault";
    /// The configuration asks for something that this release cannot do.
    NotBuilt = 1900, "notBuilt";
    /// The configuration sends a token to another machine unencrypted.
    UnencryptedToken = 1901, "unencryptedToken";
    /// A literal that should be a flow and is not.
    InvalidSubflow = 2003, "invalidSubflowLiteral";
    /// A variable that is not declared; its inline default is used.
    UndefinedVariable = 2004, "undefinedVariable";
    /// A variable that is not declared and has no default.
    UndefinedRequiredVariable = 2005, "undefinedRequiredVariable";
    /// A key that means nothing here and is near one that does.
    MisspeltKey = 2007, "unknownKey";
    /// A route of the configuration cannot be followed, or leads to a plugin that is not there.
    InvalidRoute = 2200, "invalidRouteReference";
    /// A component path that does not start with `/`.
    InvalidComponent = 2500, "invalidComponent";
    /// A component that nothing serves.
    UnknownComponent = 2501, "unknownComponent";
    /// A literal input object that the component's schema refuses: a field is missing, or one is there that must not be.
    InvalidInputField = 2502, "invalidInputField";
    /// Two steps have the same id.
    DuplicateStepId = 3000, "duplicateStepId";
    /// A step has a blank id.
    EmptyStepId = 3001, "emptyStepId";
    /// A step's input refers to the step itself.
    SelfReference = 3002, "selfReference";
    /// A reference to a step that does not exist.
    UndefinedStepReference = 3003, "undefinedStepReference";
    /// Steps wait for each other.
    DependencyCycle = 3005, "dependencyCycle";
    /// An expression or a path that cannot be read.
    InvalidExpression = 3006, "invalidExpression";
    /// A text that is not a duration.
    InvalidDuration = 3007, "invalidDuration";
    /// A spelling of an older language; to ignore it would change what runs.
    OldSpelling = 3008, "oldSpelling";
    /// A schema that is not a JSON Schema.
    InvalidSchema = 3009, "invalidSchema";
    /// The document is not YAML or not JSON.
    InvalidSyntax = 3010, "invalidSyntax";
    /// A key appears twice in one object.
    DuplicateKey = 3011, "duplicateKey";
    /// A value of another type than its key takes.
    InvalidType = 3012, "invalidType";
    /// A key that must be there is not.
    MissingKey = 3013, "missingKey";
    /// The document is larger or deeper than allowed.
    LimitExceeded = 3014, "limitExceeded";
}

impl Code {
    /// The code's number.
    #[must_use]
    pub fn number(self) -> u16 {
        self as u16
    }

    /// The message for a document whose text may be secret.
    pub(super) fn in_any_text(self) -> &'static str {
        match self {
            Self::InvalidSyntax => "the text cannot be read here",
            Self::DuplicateKey => "a key appears twice in this object",
            Self::LimitExceeded => "the document is too large, too deep, or has a number that is too large",
            _ => "this is wrong",
        }
    }

    /// The level that the number stands for.
    #[must_use]
    pub fn level(self) -> Level {
        match self.number() {
            3000.. => Level::Fatal,
            2000.. => Level::Error,
            _ => Level::Warning,
        }
    }
}
